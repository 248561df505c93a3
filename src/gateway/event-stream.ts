import type { ServerResponse } from "node:http";
import { Type } from "typebox";
import { limits } from "../../protocol/limits.ts";
import { addressKey } from "../access/address.ts";
import { credentialOf } from "../access/credential.ts";
import { placeOfHeaders } from "../access/development.ts";
import { personLimited } from "../access/person-rate.ts";
import type { Route, RouteRequest } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import { Connection } from "./connection.ts";
import { nativeFrames } from "./encodings.ts";
import { frameOf } from "./frames.ts";
import type { Gateway } from "./gateway.ts";
import { EventStreamLink, noPosition } from "./link.ts";
import { signIn } from "./sign-in.ts";
import { type Subscribed, subscribe } from "./subscribing.ts";

/** After how long a browser comes back when the stream ends, milliseconds. */
const comeBackMs = 2_000;

const Query = Type.Object(
  {
    topics: Type.String({
      minLength: 1,
      maxLength: limits.topicsPerStream * (limits.topicLength + 1),
      description: `1 to ${limits.topicsPerStream} topics, separated by commas`,
    }),
    token: Type.Optional(
      Type.String({
        maxLength: 8_192,
        description: "the credential, for browsers, which can send no header here",
      }),
    ),
  },
  { additionalProperties: false },
);
type Query = { topics: string; token?: string };

/**
 * Entries as server-sent events, for clients to whom no WebSocket gets through: read only, the same frames, and the
 * same positions as ids of the events.
 */
export function eventStreamRoute(gateway: Gateway): Route {
  return {
    method: "GET",
    path: "/api/v1/events",
    scope: "open",
    tag: "events",
    summary: "Read topics as server-sent events",
    description:
      "The frames of the WebSocket, one event each, for clients to whom none gets through. A browser that comes back sends Last-Event-ID, and is sent what it missed. Credentials as everywhere, or in `token`.",
    query: Query,
    headers: { "Last-Event-ID": "the id of the last event that the client has" },
    responses: { 200: Type.String({ description: "text/event-stream" }) },
    errors: ["unauthorized", "forbidden", "rate_limited", "draining"],
    handler: (request) => open(gateway, request),
  };
}

async function open(gateway: Gateway, request: RouteRequest): ReturnType<Route["handler"]> {
  const { access, config } = gateway.deps;
  if (gateway.draining) throw new AppError("draining", { retryAfterS: 1 });
  const { token, topics: list } = request.query as Query;
  const wanted = positionsOf(list, textOf(request.headers["last-event-id"]));
  const credential = credentialOf(request.headers, token === undefined ? [] : [token]);
  if (credential === undefined) {
    throw new AppError("unauthorized", { detail: "send Authorization or ?token=" });
  }
  const place = placeOfHeaders(request.headers);
  const actor = await signIn(access, credential, { host: config.host, address: request.ip, ...place });
  const taken = gateway.deps.personRate.take(actor);
  if (taken !== undefined && !taken.allowed) throw personLimited(taken);
  if (!gateway.admission.hasPlace(addressKey(request.ip))) {
    throw new AppError("rate_limited", { detail: "this address has too many connections", retryAfterS: 30 });
  }
  return {
    status: 200,
    stream: (response) => {
      // Nobody is there any more, so nobody will leave either.
      if (response.destroyed) return;
      const connection = begin(gateway, request, response, wanted);
      if (!takePlace(gateway, connection, response)) return;
      if (actor.kind === "key") connection.apiKey = credential;
      if (!gateway.open(connection, actor)) return;
      const positions = new Map(
        [...wanted].map(([topic, position]) => [topic, position === noPosition ? undefined : position]),
      );
      const answer = (subscribed: Subscribed): void =>
        connection.write(frameOf({ type: "subscribed", id: 0, ...subscribed }));
      subscribe(gateway.subscribing, connection, { actor, wanted: positions }, answer).catch(
        (error: unknown) => {
          gateway.deps.log.error({ err: error }, "an event stream could not be opened");
          gateway.end(connection, "internal");
        },
      );
    },
  };
}

/** A place of the address until the response ends; without one the stream ends at once. */
function takePlace(gateway: Gateway, connection: Connection, response: ServerResponse): boolean {
  const address = addressKey(connection.address);
  const hasPlace = gateway.admission.enterAddress(address);
  if (!hasPlace) gateway.end(connection, "too_many_connections");
  response.once("close", () => {
    gateway.forget(connection);
    if (hasPlace) gateway.admission.leaveAddress(address);
  });
  return hasPlace;
}

function begin(
  gateway: Gateway,
  { ip, headers }: RouteRequest,
  response: ServerResponse,
  positions: ReadonlyMap<string, string>,
): Connection {
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // nginx would hold events back until its buffer is full.
    "x-accel-buffering": "no",
  });
  response.write(`retry: ${comeBackMs}\n\n`);
  return new Connection({
    link: new EventStreamLink(response, positions),
    address: ip,
    place: placeOfHeaders(headers),
    native: true,
    encoding: nativeFrames,
    frameTokens: 0,
    onRoom: (one) => gateway.catchUpAll(one),
  });
}

/** Topic -> position, in the order of the request. */
function positionsOf(list: string, lastEventId: string | undefined): ReadonlyMap<string, string> {
  const topics = list.split(",");
  if (topics.length > limits.topicsPerStream || new Set(topics).size < topics.length) {
    throw new AppError("invalid_query", {
      detail: `topics must be 1 to ${limits.topicsPerStream} different topics`,
      fields: [
        { pointer: "topics", code: "max_items", detail: `at most ${limits.topicsPerStream}, each once` },
      ],
    });
  }
  const positions = lastEventId === undefined || lastEventId === "" ? [] : lastEventId.split(",");
  if (positions.length > 0 && positions.length !== topics.length) {
    throw new AppError("invalid_header", {
      detail: "Last-Event-ID is not of a stream of these topics",
    });
  }
  return new Map(topics.map((topic, i) => [topic, positions[i] ?? noPosition]));
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" ? header : header?.[0];
}
