import http from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";

/** How long a call of a push service may take until it answers, milliseconds. */
export const callMaxMs = 10_000;
/** How long what it says beyond its status is waited for, so that its connection can be used again, milliseconds. */
export const restMaxMs = 1_000;
/** What is read of that for the same purpose, bytes. Beyond it the connection is closed. */
export const answerBytesMax = 16_384;
/** Connections to one push service that are kept between two calls. */
export const idleMax = 16;
/** Interim answers (1xx) that are let pass before the answer. */
export const interimMax = 8;

export type PushCall = {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer;
};

export type PushAnswer = { readonly status: number; readonly retryAfter: string | undefined };

/** Calls push services over connections that it keeps until it is disposed of. */
export type PushCaller = Disposable & {
  /** Rejects when there is no answer in time, or the signal is aborted. What it redirects to is not followed. */
  call(call: PushCall, signal: AbortSignal): Promise<PushAnswer>;
};

export function createPushCaller(options: {
  readonly lookup: LookupFunction;
  readonly timeoutMs: number;
}): PushCaller {
  const { lookup, timeoutMs } = options;
  const kept = { keepAlive: true, maxFreeSockets: idleMax } as const;
  const agents = { "http:": new http.Agent(kept), "https:": new https.Agent(kept) };
  return {
    call: ({ endpoint, headers, body }, stop) => {
      const url = new URL(endpoint);
      const secure = url.protocol === "https:";
      const request = (secure ? https : http).request(url, {
        method: "POST",
        headers,
        agent: agents[secure ? "https:" : "http:"],
        lookup,
        signal: AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]),
      });
      const answer = answerTo(request);
      request.end(body);
      return answer;
    },
    [Symbol.dispose]: () => {
      agents["http:"].destroy();
      agents["https:"].destroy();
    },
  };
}

/**
 * Settles once the call has given back its connection or closed it, so that there are never more connections than calls,
 * and those that are kept. However a call ends, "close" comes last; some ends have nothing else.
 */
function answerTo(request: http.ClientRequest): Promise<PushAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<PushAnswer>();
  let answer: PushAnswer | undefined;
  let fault: Error | undefined;
  let interim = 0;
  request.on("error", (error) => {
    fault ??= error;
  });
  request.on("information", () => {
    if (++interim > interimMax) request.destroy(new Error("it answers, and does not come to an end"));
  });
  request.on("upgrade", ({ statusCode: status = 0 }, socket) => {
    answer = { status, retryAfter: undefined };
    socket.destroy();
  });
  request.on("response", (response) => {
    if (interim > interimMax) return;
    // The head says everything: what becomes of the rest is of no interest.
    answer = { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] };
    readRest(response);
  });
  request.on("close", () => {
    if (answer === undefined) reject(fault ?? new Error("it closed the connection without an answer"));
    else resolve(answer);
  });
  return promise;
}

function readRest(response: http.IncomingMessage): void {
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(), restMaxMs);
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > answerBytesMax) response.destroy();
  });
  response.on("error", () => undefined);
  response.on("close", () => clearTimeout(timer));
}
