import type { ErrorCode } from "../../protocol/errors.ts";
import type { Access } from "../access/access.ts";
import type { Actor } from "../access/actor.ts";
import { type PersonRate, personLimited } from "../access/person-rate.ts";
import { credentialOf } from "../access/credential.ts";
import { addressKey, plainAddress } from "../access/address.ts";
import type { Route, UnreadRequest } from "../deps.ts";
import type { ErrorDetails } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Buckets, RateHeaders, Taken } from "../lib/token-bucket.ts";
import type { HttpReply, HttpRequest } from "./app.ts";
import type { Cors } from "./cors.ts";
import { type ScopeRule, credentialMissing, requirePlace, requireScope } from "./authenticate.ts";
import type { InboundRequest } from "./inbound.ts";
import type { Load } from "./load.ts";
import { sendProblem, setHeaders } from "./problem.ts";
import type { Meters } from "./route-meter.ts";

export type GuardContext = {
  readonly access: Pick<Access, "authenticate">;
  readonly load: Load;
  readonly meters: Meters;
  readonly addresses: Buckets;
  readonly rateHeaders: (taken: Taken) => RateHeaders;
  readonly personRate: PersonRate;
  readonly personHeaders: (taken: Taken) => RateHeaders;
  readonly cors: Cors;
  /** What the server listens on. */
  readonly host: string;
  readonly log: Logger;
};

export type GuardRule = ScopeRule & {
  readonly method: string;
  /** The route's pattern, the label of its metrics. */
  readonly path: string;
  readonly authenticate?: Route["authenticate"];
  readonly bodyBytesMax?: number | undefined;
  /** Health probes are answered even when nothing else is. */
  readonly unlimited?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Calls `done`, or returns a promise to go on when it resolves, or has answered and does neither. */
export type Guard = (
  request: HttpRequest,
  reply: HttpReply,
  done: (error?: Error) => void,
) => Promise<void> | void;

/**
 * Makes the hook that every request of a route passes before a byte of its body is read: overload, rate limit by
 * address, what no handler should have to see, authentication, and rate limit by person, in this order.
 */
export function createGuard(context: GuardContext, rule: GuardRule): Guard {
  const { access, load, meters, addresses, rateHeaders, personRate, personHeaders, cors, host } = context;
  const meter = meters.of(rule.method, rule.path);
  const { scope, authenticate, bodyBytesMax } = rule;
  const refuse = createRefuse(context.log, rule.path);

  /** Refuses what is too much. Who sends ahead has more of it under way: that is not read any more. */
  function shed(reply: HttpReply, code: ErrorCode, details: ErrorDetails): void {
    if (reply.request.raw.pipelined) reply.header("connection", "close");
    refuse(reply, code, details);
  }

  /** False when the person has asked for too much, and was told so. */
  function countPerson(reply: HttpReply, actor: Actor): boolean {
    const taken = personRate.take(actor);
    if (taken === undefined) return true;
    setHeaders(reply, personHeaders(taken));
    if (taken.allowed) return true;
    const { code, details } = personLimited(taken);
    shed(reply, code, details);
    return false;
  }

  return (request, reply, done) => {
    const { raw } = request;
    raw.meter = raw.method === rule.method ? meter : meters.of(request.method, rule.path);
    if (bodyBytesMax !== undefined) raw.bodyBytesMax = bodyBytesMax;
    raw.address = plainAddress(request.ip);
    setStandardHeaders(request, reply);
    cors.allow(request, reply);
    if (rule.headers !== undefined) setHeaders(reply, rule.headers);

    if (rule.unlimited !== true) {
      if (load.overloaded) return shed(reply, "overloaded", { retryAfterS: 1 });
      const taken = addresses.take(addressKey(raw.address));
      const headers = rateHeaders(taken);
      reply.header("ratelimit-policy", headers["RateLimit-Policy"]);
      reply.header("ratelimit", headers.RateLimit);
      if (!taken.allowed) {
        return shed(reply, "rate_limited", {
          detail: "too many requests from this address",
          retryAfterS: taken.retryAfterS,
        });
      }
    }
    const oddity = oddityOf(raw);
    if (oddity !== undefined) return refuse(reply, ...oddity);
    if (scope === "open") return done();
    const credential = credentialOf(raw.headers);
    if (credential === undefined) {
      if (scope !== "self") return refuse(reply, "unauthorized", credentialMissing);
      const proof = identify(request, authenticate);
      if (proof instanceof Promise) return proof;
      return done();
    }
    return access.authenticate(credential, raw.address).then((actor) => {
      // Who has been answered does not get any further, whatever comes of the promise.
      if (!countPerson(reply, actor)) return;
      requirePlace(actor, raw, host);
      requireScope(actor, rule);
      raw.actor = actor;
      return identify(request, authenticate);
    });
  };
}

/** Makes the function that answers with a problem, and leaves a line for those who look for the request's id. */
function createRefuse(log: Logger, route: string) {
  return (reply: HttpReply, code: ErrorCode, details: ErrorDetails): void => {
    const { id, method } = reply.request;
    log.debug({ request_id: id, method, route, code }, "request refused");
    sendProblem(reply, code, details);
  };
}

/** Lets the route look at the head of the request, and keeps what it found. */
function identify(request: HttpRequest, authenticate: GuardRule["authenticate"]): Promise<void> | void {
  if (authenticate === undefined) return;
  const { raw, query, params } = request;
  const proof = authenticate({
    actor: raw.actor,
    headers: raw.headers,
    query: query as UnreadRequest["query"],
    params: params as UnreadRequest["params"],
  });
  if (!(proof instanceof Promise)) raw.proof = proof;
  else {
    return proof.then((found) => {
      raw.proof = found;
    });
  }
}

/** The headers that every answer has, whatever becomes of the request. */
export function setStandardHeaders(request: HttpRequest, reply: HttpReply): void {
  reply.header("x-request-id", request.id);
  reply.header("x-content-type-options", "nosniff");
}

/** What is legal HTTP for the parser and a trap for whoever comes after it. */
function oddityOf(raw: InboundRequest): readonly [ErrorCode, ErrorDetails] | undefined {
  const { host } = raw.headers;
  if (host === undefined && raw.httpVersion === "1.1") {
    return ["invalid_header", { detail: "the Host header is required" }];
  }
  // Two of them arrive joined by a comma.
  if (host?.includes(",") === true)
    return ["invalid_header", { detail: "there is more than one Host header" }];
  const coding = raw.headers["transfer-encoding"];
  if (coding !== undefined && coding !== "chunked" && coding.trim().toLowerCase() !== "chunked")
    return ["invalid_header", { detail: "of Transfer-Encoding only chunked is understood" }];
  if (raw.expectsOther) return ["invalid_header", { detail: "of Expect only 100-continue is understood" }];
  const url = raw.url ?? "";
  const nul = url.indexOf("%00");
  if (nul === -1) return undefined;
  const query = url.indexOf("?");
  const code = query !== -1 && query < nul ? "invalid_query" : "invalid_path";
  return [code, { detail: "the URL contains a NUL character" }];
}
