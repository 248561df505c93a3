import { type ErrorCode, type ErrorRule, type FieldError, errorRules } from "../protocol/errors.ts";
import type { FrameError } from "../protocol/frames.ts";

/** What goes wrong on this side of the wire; the other codes are the server's (`protocol/errors.ts`). */
export const clientErrorRules = {
  network: { title: "The server cannot be reached", retry: "later" },
  timeout: { title: "No answer came in time", retry: "later" },
  aborted: { title: "The call was given up by its caller", retry: "no" },
  unexpected_answer: { title: "The answer is not one this client understands", retry: "later" },
  disconnected: { title: "The connection was lost before the answer", retry: "later" },
  stopped: { title: "The client or the chat was stopped", retry: "later" },
  signed_out: { title: "Nobody is signed in", retry: "no" },
  too_many_topics: { title: "A client may not subscribe to more topics", retry: "no" },
  too_many_requests: { title: "Too many requests wait for the connection", retry: "later" },
  frame_too_large: { title: "The request is larger than a frame may be", retry: "no" },
  outpaced: { title: "Too much happened while it was read", retry: "later" },
  queue_full: { title: "Too many messages wait to be sent", retry: "later" },
  not_member: { title: "Whoever is signed in is no member of the room", retry: "no" },
  not_failed: { title: "The message has not failed", retry: "no" },
  storage_failed: { title: "The device could not store what has to survive", retry: "later" },
} as const satisfies Record<string, Pick<ErrorRule, "title" | "retry">>;

export type ClientErrorCode = keyof typeof clientErrorRules;

export type TidingsErrorDetails = {
  readonly code: ErrorCode | ClientErrorCode;
  /** HTTP status that goes with the code; 0 when no server has spoken. */
  readonly status: number;
  /** `later`: the same request may succeed when it is sent again, unchanged. */
  readonly retry: "no" | "later";
  readonly message: string;
  /** How long the server asks to wait, seconds. */
  readonly retryAfterS?: number | undefined;
  /** What is wrong with which field. */
  readonly fields?: readonly FieldError[] | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
};

/** Everything the client refuses or fails with. Decide by `code` and `retry`, never by the text. */
export class TidingsError extends Error {
  override readonly name = "TidingsError";
  /** A newer server may have codes that are not in the type: then `status` and `retry` still hold. */
  readonly code: ErrorCode | ClientErrorCode;
  readonly status: number;
  readonly retry: "no" | "later";
  readonly retryAfterS: number | undefined;
  readonly fields: readonly FieldError[];
  readonly requestId: string | undefined;

  constructor(details: TidingsErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.status = details.status;
    this.retry = details.retry;
    this.retryAfterS = details.retryAfterS;
    this.fields = details.fields ?? [];
    this.requestId = details.requestId;
  }
}

/** A failure on this side. */
export function clientError(code: ClientErrorCode, cause?: unknown): TidingsError {
  const { title, retry } = clientErrorRules[code];
  return new TidingsError({ code, status: 0, retry, message: title, cause });
}

/** A refusal that came over the socket. */
export function frameError(error: FrameError): TidingsError {
  const { code, title, detail, retry, retry_after_s, errors } = error;
  // Looked up by text: a newer server may have more codes than this table.
  const rule = (errorRules as Readonly<Record<string, ErrorRule>>)[code];
  return new TidingsError({
    code,
    status: rule?.status ?? 0,
    retry,
    message: detail === undefined ? title : `${title}: ${detail}`,
    retryAfterS: retry_after_s,
    fields: errors,
  });
}

/** Whatever was thrown, as an error of this client. */
export function asTidingsError(error: unknown): TidingsError {
  return error instanceof TidingsError ? error : clientError("network", error);
}

/**
 * Whether the server itself has refused with one of these statuses. A proxy's page or a hotel's has the status, too, but
 * the code `unexpected_answer`: nothing that cannot be undone is decided by it.
 */
export function isRefusal(error: unknown, ...statuses: readonly number[]): error is TidingsError {
  return (
    error instanceof TidingsError && error.code !== "unexpected_answer" && statuses.includes(error.status)
  );
}

/** Whether nobody is signed in any more, so that only a person can help. */
export function needsSignIn(error: TidingsError): boolean {
  return error.code === "signed_out" || isRefusal(error, 401);
}
