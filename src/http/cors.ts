import type { IncomingHttpHeaders } from "node:http";
import type { HttpReply, HttpRequest } from "./app.ts";

/** Seconds for which a browser may remember the answer to a preflight. None remembers it for longer. */
const preflightAgeS = 7_200;

/** Headers that a page may send besides those that need no leave. */
const sentHeaders = "Authorization, Content-Type, X-API-Key, X-Request-Id, Idempotency-Key, Last-Event-ID";

/** Headers of answers that a page may read besides those that need no leave. */
const readHeaders =
  "Retry-After, RateLimit, RateLimit-Policy, Idempotent-Replayed, X-Request-Id, Allow, WWW-Authenticate";

/** Which pages of other origins may call the server, as browsers ask it (CORS). */
export type Cors = {
  /** Sets the headers that every answer has, refusals too: without them a page cannot tell one from a lost network. */
  allow(request: HttpRequest, reply: HttpReply): void;
  /** Answers the question that a browser asks before a call, if it is one from a page that may call. */
  answerPreflight(request: HttpRequest, reply: HttpReply): boolean;
};

/**
 * `origins` are those that may, `*` is all. Cookies and other credentials that a browser adds by itself are not allowed
 * for any: the server has none, and a page has to know a token to act for somebody. `methods` are all that there are.
 */
export function createCors(origins: readonly string[], methods: string): Cors {
  const isOpen = origins.includes("*");
  const listed = new Set(origins);
  const isListed = (origin: string | undefined): origin is string =>
    origin !== undefined && (isOpen || listed.has(origin));
  return {
    allow: ({ headers: { origin } }, reply) => {
      if (origins.length === 0) return;
      // Also where there is no origin: a cache must not give that answer to a page that has one.
      if (!isOpen) reply.header("vary", "Origin");
      if (!isListed(origin)) return;
      reply.header("access-control-allow-origin", isOpen ? "*" : origin);
      reply.header("access-control-expose-headers", readHeaders);
    },
    answerPreflight: ({ method, headers }, reply) => {
      if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return false;
      if (!isListed(headers.origin)) return false;
      // The same for every path, so that a page may read what is wrong with its call.
      reply
        .code(204)
        .header("access-control-allow-methods", methods)
        .header("access-control-allow-headers", sentHeaders)
        .header("access-control-max-age", String(preflightAgeS))
        .send();
      return true;
    },
  };
}

/**
 * Whether a request to become a WebSocket comes from where it may. Browsers ask nobody before they open one, and name
 * their page's origin; what names none is no browser. A page of the server's own origin always may.
 */
export function mayConnect(origins: readonly string[], { origin, host }: IncomingHttpHeaders): boolean {
  if (origins.length === 0 || origin === undefined) return true;
  if (origins.includes("*") || origins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();
}
