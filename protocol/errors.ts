/**
 * Every error a client can meet: the HTTP status, and whether the same request may be sent again. `docs/errors.md`
 * explains each code; a test keeps the two equal. Why a WebSocket is closed is told by `close-codes.ts`.
 */
export type ErrorRule = {
  readonly status: number;
  readonly title: string;
  /** `no`: the same request fails again. `later`: after `Retry-After` seconds it may succeed, unchanged. */
  readonly retry: "no" | "later";
};

export const errorRules = {
  invalid_json: { status: 400, title: "The body is not valid JSON", retry: "no" },
  invalid_encoding: { status: 400, title: "The body is not valid UTF-8", retry: "no" },
  invalid_body: { status: 400, title: "The body does not fit the schema", retry: "no" },
  invalid_query: { status: 400, title: "The query does not fit the schema", retry: "no" },
  invalid_path: { status: 400, title: "The path does not fit the schema", retry: "no" },
  invalid_header: { status: 400, title: "A header does not fit the schema", retry: "no" },
  invalid_cursor: { status: 400, title: "The cursor is not one this server made", retry: "no" },
  unauthorized: { status: 401, title: "No valid credentials", retry: "no" },
  signature_missing: { status: 401, title: "The webhook is not signed", retry: "no" },
  signature_invalid: { status: 401, title: "The signature does not match", retry: "no" },
  signature_expired: { status: 401, title: "The signature is outside the replay window", retry: "no" },
  forbidden: { status: 403, title: "These credentials may not do that", retry: "no" },
  not_found: { status: 404, title: "Nothing is here", retry: "no" },
  unknown_source: { status: 404, title: "No such source", retry: "no" },
  method_not_allowed: { status: 405, title: "The method is not allowed here", retry: "no" },
  request_timeout: { status: 408, title: "The request took too long to arrive", retry: "later" },
  conflict: { status: 409, title: "The request contradicts what is stored", retry: "no" },
  insufficient_funds: { status: 409, title: "There is not enough money on the account", retry: "no" },
  account_closed: { status: 409, title: "The account is closed", retry: "no" },
  payouts_halted: { status: 409, title: "No payouts are made right now", retry: "later" },
  request_in_flight: { status: 409, title: "The same request is being worked on", retry: "later" },
  body_too_large: { status: 413, title: "The body is too large", retry: "no" },
  unsupported_media_type: { status: 415, title: "The content type is not supported", retry: "no" },
  idempotency_mismatch: {
    status: 422,
    title: "This id was used for something else",
    retry: "no",
  },
  rate_limited: { status: 429, title: "Too many requests", retry: "later" },
  headers_too_large: { status: 431, title: "The headers are too large", retry: "no" },
  internal: { status: 500, title: "The server made a mistake", retry: "later" },
  overloaded: { status: 503, title: "The server is overloaded", retry: "later" },
  unavailable: {
    status: 503,
    title: "The database cannot be reached right now",
    retry: "later",
  },
  draining: { status: 503, title: "The server is shutting down", retry: "later" },
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof errorRules;

/** One thing wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the body, or a parameter's name. */
export type FieldError = {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
};

/** The body of every error answer but the seed's own on `/chat/*`: RFC 9457, content type `application/problem+json`. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail?: string;
  readonly request_id?: string;
  readonly errors?: readonly FieldError[];
};
