import { type ErrorCode, type FieldError, errorRules } from "../../protocol/errors.ts";

export type ErrorDetails = {
  /** One sentence for the person who reads the answer. Never holds secrets, SQL or paths of the machine. */
  readonly detail?: string;
  readonly fields?: readonly FieldError[];
  /** Seconds after which the same request may succeed. */
  readonly retryAfterS?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What really happened, for the log only. */
  readonly cause?: unknown;
};

/** A refusal with a code of `protocol/errors.ts`. The edges (HTTP, WebSocket, CLI) turn it into their answer. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    super(
      details.detail ?? errorRules[code].title,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return errorRules[this.code].status;
  }
}

/** A fault of the installation that a person must mend: `main.ts` prints the sentence and exits with code 1. */
export class StartupError extends Error {
  override readonly name = "StartupError";
}

/** The text of whatever was thrown. */
export function errorMessage(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "an error without a text";
  }
}

/** The code of whatever was thrown: an SQLSTATE, an errno name such as `ECONNREFUSED`, or undefined. */
export function errorCodeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
