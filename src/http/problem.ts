import { type ErrorCode, type FieldError, type Problem, errorRules } from "../../protocol/errors.ts";
import type { ErrorDetails } from "../lib/errors.ts";
import type { HttpReply } from "./app.ts";

export const problemContentType = "application/problem+json; charset=utf-8";

/** Entries of `errors` in one answer: a body of a megabyte can be wrong in very many places. */
const fieldErrorsMax = 50;

/** The text of an RFC 9457 problem. */
export function problemText(code: ErrorCode, details: ErrorDetails, requestId: string): string {
  const rule = errorRules[code];
  const problem: Problem = {
    type: `urn:tidings:error:${code}`,
    title: rule.title,
    status: rule.status,
    code,
    ...(details.detail === undefined ? {} : { detail: details.detail }),
    request_id: requestId,
    ...(details.fields === undefined ? {} : { errors: shown(details.fields) }),
  };
  return JSON.stringify(problem);
}

/** Answers with a problem. Headers that were set before stay. */
export function sendProblem(reply: HttpReply, code: ErrorCode, details: ErrorDetails = {}): void {
  const { status } = errorRules[code];
  const retryAfterS = details.retryAfterS ?? (status === 429 || status === 503 ? 1 : undefined);
  // HTTP wants a challenge with every 401; a bearer token would not help a sender whose signature is wrong.
  if (status === 401)
    reply.header("www-authenticate", code === "unauthorized" ? "Bearer" : "Webhook-Signature");
  if (retryAfterS !== undefined) reply.header("retry-after", String(Math.ceil(retryAfterS)));
  if (details.headers !== undefined) setHeaders(reply, details.headers);
  reply
    .code(status)
    .header("content-type", problemContentType)
    .send(problemText(code, details, reply.request.id));
}

/** Sets headers; the `RateLimit` fields are lists, so a module's own limit joins the one per address. */
export function setHeaders(reply: HttpReply, headers: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(headers)) {
    const value = headers[name] ?? "";
    const key = name.toLowerCase();
    const before = key === "ratelimit" || key === "ratelimit-policy" ? reply.getHeader(key) : undefined;
    reply.header(key, typeof before === "string" ? `${before}, ${value}` : value);
  }
}

function shown(fields: readonly FieldError[]): readonly FieldError[] {
  return fields.length <= fieldErrorsMax ? fields : fields.slice(0, fieldErrorsMax);
}
