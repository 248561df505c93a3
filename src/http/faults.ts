import type { ErrorCode } from "../../protocol/errors.ts";
import { isPassingDbError } from "../lib/db-faults.ts";
import { AppError, type ErrorDetails, errorCodeOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { HttpReply, HttpRequest } from "./app.ts";
import type { Load } from "./load.ts";
import { sendProblem } from "./problem.ts";

export type Refusal = { readonly code: ErrorCode; readonly details: ErrorDetails };

/** What the client is told about anything that was thrown. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof AppError) return { code: error.code, details: error.details };
  const known = frameworkRefusals[errorCodeOf(error) ?? ""];
  if (known !== undefined) return known;
  if (isPassingDbError(error)) return { code: "unavailable", details: { retryAfterS: 1, cause: error } };
  return { code: refusalByStatus(error) ?? "internal", details: { cause: error } };
}

const frameworkRefusals: Readonly<Record<string, Refusal>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: "unsupported_media_type",
    details: { detail: "send the body as application/json" },
  },
  FST_ERR_BAD_URL: { code: "invalid_path", details: { detail: "the path is not validly percent-encoded" } },
  FST_ERR_MAX_PARAM_LENGTH: { code: "invalid_path", details: { detail: "a part of the path is too long" } },
};

/** Plugins (static files) throw errors that carry nothing but a status. */
function refusalByStatus(error: unknown): ErrorCode | undefined {
  if (typeof error !== "object" || error === null || !("statusCode" in error)) return undefined;
  switch (error.statusCode) {
    case 400:
      return "invalid_path";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 413:
      return "body_too_large";
    case 415:
      return "unsupported_media_type";
    default:
      return undefined;
  }
}

/** Headers of the guard, which every answer keeps; a handler's own do not survive its failure. */
const keptHeaders = new Set([
  "x-request-id",
  "x-content-type-options",
  "vary",
  "access-control-allow-origin",
  "access-control-expose-headers",
  "ratelimit-policy",
  "ratelimit",
  "cache-control",
  "connection",
]);

/** Warnings about an unreachable database are one per this many milliseconds, with the number left out. */
const warnEveryMs = 5_000;

/** Makes the handler of everything that was thrown while a request was answered. */
export function createErrorHandler(
  log: Logger,
  load: Pick<Load, "draining">,
): (error: unknown, request: HttpRequest, reply: HttpReply) => void {
  let warnedMs = -Infinity;
  let suppressed = 0;

  function report(error: unknown, { code, details }: Refusal, request: HttpRequest): void {
    const fields = { request_id: request.id, method: request.method, route: request.routeOptions.url };
    if (code === "internal") {
      log.error({ ...fields, err: details.cause ?? error }, "request failed");
    } else if (code === "unavailable") {
      const nowMs = performance.now();
      if (nowMs - warnedMs < warnEveryMs) {
        suppressed++;
        return;
      }
      log.warn(
        { ...fields, err: details.cause ?? error, suppressed },
        "request refused, database unavailable",
      );
      warnedMs = nowMs;
      suppressed = 0;
    } else {
      log.debug({ ...fields, code }, "request refused");
    }
  }

  return (error, request, reply) => {
    const { raw } = request;
    if (raw.destroyed && !raw.complete) {
      // The client left in the middle of its body: nobody is there to be answered.
      reply.hijack();
      return;
    }
    const refusal = refusalOf(error);
    report(error, refusal, request);
    if (raw.verified) raw.proof?.onRefused?.({ ...refusal, rawText: raw.rawText, requestId: request.id });
    for (const name of Object.keys(reply.getHeaders())) if (!keptHeaders.has(name)) reply.removeHeader(name);
    // Fastify closes the connection after every body that it did not like. Node reads the rest of the body and keeps
    // it, so that the client, which may still be sending, gets to read the answer.
    if (!load.draining && reply.hasHeader("connection")) reply.removeHeader("connection");
    sendProblem(reply, refusal.code, refusal.details);
  };
}
