import { type ErrorCode, type ErrorRule, type Problem, errorRules } from "../protocol/errors.ts";
import { backoffMs, repeatBackoff } from "./backoff.ts";
import { type Clock, pause } from "./clock.ts";
import { TidingsError, clientError } from "./errors.ts";

/** What is used of `fetch`. */
export type Fetch = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: string;
    readonly signal: AbortSignal;
  },
) => Promise<FetchAnswer>;
export type FetchAnswer = {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
};

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
  readonly body?: unknown;
  /** Done twice it is as if it was done once, so that it may be sent again when nobody knows whether it was done. */
  readonly repeatable: boolean;
  /** Names the request, so that the server does it once however often it comes: sent as `Idempotency-Key`. */
  readonly idempotencyKey?: string | undefined;
  /** Times that it is sent at most; `attemptsMax` unless given. */
  readonly attempts?: number;
  readonly signal?: AbortSignal | undefined;
};

/** Sends a call, with a credential if there is one; resolves with the parsed answer. Throws `TidingsError`. */
export type Transport = (call: Call, credential?: string) => Promise<unknown>;

/** How long one attempt may take. */
export const callTimeoutMs = 10_000;
/** Times that a call is sent at most. */
export const attemptsMax = 3;
/** A server that asks to wait longer gets no repetition: the caller is told. */
export const retryAfterMaxS = 10;

export function createTransport(options: {
  readonly url: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: () => number;
  readonly timeoutMs?: number;
}): Transport {
  const { url, fetch, clock, random, timeoutMs = callTimeoutMs } = options;
  return async (call, credential) => {
    const request = requestOf(call, credential);
    for (let attempt = 1; ; attempt++) {
      try {
        return await exchange({ fetch, clock, timeoutMs }, url + pathOf(call), request, call.signal);
      } catch (error) {
        const pauseMs =
          error instanceof TidingsError ? pauseBefore(error, call, attempt, random()) : undefined;
        if (pauseMs === undefined) throw error;
        await pause(clock, pauseMs, call.signal);
        if (call.signal?.aborted === true) throw clientError("aborted", error);
      }
    }
  };
}

/** How long to wait before the same call is sent again; undefined when it must not be. */
export function pauseBefore(
  error: TidingsError,
  call: Call,
  attempt: number,
  random: number,
): number | undefined {
  if (attempt >= (call.attempts ?? attemptsMax) || error.retry === "no") return undefined;
  // Too many requests: this one was turned away before anything was done.
  if (!call.repeatable && error.status !== 429) return undefined;
  const { retryAfterS = 0 } = error;
  if (retryAfterS > retryAfterMaxS) return undefined;
  return retryAfterS * 1000 + backoffMs(attempt, repeatBackoff, random);
}

type Request = { readonly method: string; readonly headers: Record<string, string>; readonly body?: string };

function requestOf({ method, body, idempotencyKey }: Call, credential: string | undefined): Request {
  return {
    method,
    headers: {
      accept: "application/json, application/problem+json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }),
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
}

function pathOf({ path, query = {} }: Call): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  if (pairs.length === 0) return path;
  const words = pairs.map(
    ([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`,
  );
  return `${path}?${words.join("&")}`;
}

async function exchange(
  { fetch, clock, timeoutMs }: { readonly fetch: Fetch; readonly clock: Clock; readonly timeoutMs: number },
  url: string,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const ending = new AbortController();
  const ended = new Promise<never>((_resolve, reject) => {
    ending.signal.addEventListener("abort", () => reject(ending.signal.reason as Error), { once: true });
  });
  const timer = clock.setTimeout(() => ending.abort(clientError("timeout")), timeoutMs);
  const giveUp = (): void => ending.abort(clientError("aborted"));
  if (signal?.aborted === true) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  const answer = async (): Promise<unknown> => {
    const response = await fetch(url, { ...request, signal: ending.signal });
    return read(response, await response.text(), clock.now());
  };
  try {
    return await Promise.race([ended, answer()]);
  } catch (error) {
    // What `fetch` throws has no code: a refused connection, a name that is not known, a broken body.
    throw error instanceof TidingsError ? error : clientError("network", error);
  } finally {
    clock.clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

function read(response: FetchAnswer, text: string, now: number): unknown {
  const { status, headers } = response;
  const body = text === "" ? undefined : parse(text);
  if (status >= 200 && status < 300) {
    if (text !== "" && body === undefined) throw clientError("unexpected_answer");
    return body;
  }
  throw refusal(status, body, retryAfterSeconds(headers.get("retry-after"), now));
}

/** Undefined for what is not JSON, and for JSON that is no value to us. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * What an answer says that is not one of success. A proxy's own pages are not the server's word: they say nothing about
 * who is signed in and what there is, and the same request may well succeed later (`unexpected_answer`). A few statuses
 * mean the same from whomever they come.
 */
function refusal(status: number, body: unknown, retryAfterS: number | undefined): TidingsError {
  const problem = isProblem(body, status) ? body : undefined;
  const code = problem?.code ?? codesByStatus[status] ?? "unexpected_answer";
  const rule = (errorRules as Readonly<Record<string, ErrorRule>>)[code];
  const isPassing = problem === undefined || status >= 500 || [408, 429].includes(status);
  const title = problem?.title ?? rule?.title ?? "The server answered with something else";
  return new TidingsError({
    code,
    status,
    retry: rule?.retry ?? (isPassing ? "later" : "no"),
    message: problem?.detail === undefined ? title : `${title}: ${problem.detail}`,
    retryAfterS,
    fields: problem?.errors,
    requestId: problem?.request_id,
  });
}

/** Others have bodies with a `code`, too; the server's repeat the status, and say in words what it stands for. */
function isProblem(body: unknown, status: number): body is Problem {
  if (typeof body !== "object" || body === null) return false;
  const { code, title, status: own } = body as Partial<Record<keyof Problem, unknown>>;
  return typeof code === "string" && typeof title === "string" && own === status;
}

const codesByStatus: Readonly<Record<number, ErrorCode>> = {
  408: "request_timeout",
  413: "body_too_large",
  429: "rate_limited",
  500: "internal",
  502: "unavailable",
  503: "overloaded",
  504: "unavailable",
};

/** Seconds of `Retry-After`, which is a number of them or a date. */
function retryAfterSeconds(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}
