import { type TProperties, Type } from "typebox";
import { closeRules } from "../../protocol/close-codes.ts";
import { protocolVersion, subprotocol } from "../../protocol/frames.ts";
import type { Module, Route } from "../deps.ts";
import { type Message, type Operation, type Spoken, nativeParts, plainParts } from "./asyncapi-parts.ts";
import { presenceTopics } from "./presence.ts";

type Channel = {
  readonly address: string;
  readonly description: string;
  readonly messages: Readonly<Record<string, Message>>;
  readonly bindings: object;
};
/** An AsyncAPI document, as far as this server makes use of the format. */
export type AsyncApi = {
  readonly asyncapi: "3.0.0";
  readonly channels: Readonly<Record<"socket" | "plain", Channel>>;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly [more: string]: unknown;
};

/** Describes what is spoken, in AsyncAPI 3.0, from the schemas that validate it. */
function describeSocket(spoken: Spoken, version: string): AsyncApi {
  const { messages, operations } = nativeParts(spoken);
  const plain = plainParts(spoken.plain);
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Tidings over WebSockets",
      version,
      description:
        "One WebSocket carries requests, their answers, and everything that happens in the topics that a client " +
        "subscribes to. To read only, the same frames come as server-sent events from /api/v1/events. HTTP is described " +
        "at /openapi.json.",
    },
    defaultContentType: "application/json",
    servers: { here: server },
    channels: {
      socket: {
        address: "/ws",
        description: `Ask for the subprotocol \`${subprotocol}\`. Each WebSocket message is text: one JSON object. A frame with an id is answered under this id.`,
        messages,
        bindings: handshake({ "Sec-WebSocket-Protocol": Type.Literal(subprotocol) }),
      },
      plain: {
        address: "/ws",
        description:
          "Without a subprotocol: bare objects, for clients that know nothing of topics. They are subscribed from the first moment.",
        messages: plain.messages,
        bindings: handshake({}),
      },
    },
    operations: { ...operations, ...plain.operations },
    components: { securitySchemes },
    "x-protocol-version": protocolVersion,
    "x-close-codes": Object.entries(closeRules).map(([name, { code, meaning, reconnect, waitMaxMs }]) => ({
      code,
      name,
      meaning,
      reconnect,
      wait_max_ms: waitMaxMs,
    })),
  };
}

/** What the modules speak, and the gateway itself. */
export function spokenBy(modules: readonly Module[]): Spoken {
  return {
    methods: modules.flatMap(({ methods = [] }) => methods),
    kinds: [presenceTopics, ...modules.flatMap(({ topics = [] }) => topics)],
    plain: modules.flatMap(({ plain }) => (plain === undefined ? [] : [plain])),
  };
}

export function asyncApiRoute(modules: readonly Module[], version: string): Route {
  const json = JSON.stringify(describeSocket(spokenBy(modules), version));
  return {
    method: "GET",
    path: "/asyncapi.json",
    scope: "open",
    summary: "The description of what is spoken over WebSockets, in AsyncAPI 3.0",
    tag: "description",
    responses: { 200: Type.Object({}, { description: "an AsyncAPI document" }) },
    handler: () => Promise.resolve({ status: 200, json }),
  };
}

function handshake(headers: TProperties): object {
  return {
    ws: {
      method: "GET",
      query: Type.Object({
        token: Type.Optional(
          Type.String({ description: "the credential, for browsers: they can send no header" }),
        ),
      }),
      headers: Type.Object(headers),
      bindingVersion: "0.1.0",
    },
  };
}

const securitySchemes = {
  bearer: { type: "http", scheme: "bearer", description: "an API key (tdk_…) or a JWT, in the handshake" },
  apiKey: { type: "httpApiKey", in: "header", name: "X-Api-Key", description: "an API key (tdk_…)" },
  token: { type: "httpApiKey", in: "query", name: "token", description: "either of them, in the URL" },
} as const;

const server = {
  host: "{host}",
  protocol: "ws",
  description:
    "This server; behind a proxy with TLS, wss. Without credentials in the handshake, the first frame is auth.",
  variables: { host: { default: "127.0.0.1:5000", description: "host and port of the HTTP API" } },
  security: Object.keys(securitySchemes).map((name) => ({ $ref: `#/components/securitySchemes/${name}` })),
} as const;
