import http from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";

/** How long a call of a push service may take until it answers, milliseconds. */
export const callMaxMs = 10_000;
/** What is read of an answer, so that its connection can be used again, bytes. Beyond it the connection is closed. */
const answerBytesMax = 16_384;
/** Connections to one push service that are kept between two calls. */
const idleMax = 16;

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
    call: ({ endpoint, headers, body }, stop) =>
      new Promise((resolve, reject) => {
        const url = new URL(endpoint);
        const secure = url.protocol === "https:";
        const signal = AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]);
        const agent = agents[secure ? "https:" : "http:"];
        const request = (secure ? https : http).request(url, {
          method: "POST",
          headers,
          agent,
          lookup,
          signal,
        });
        request.on("error", reject);
        request.on("response", (response) => {
          let bytes = 0;
          response.on("data", (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > answerBytesMax) response.destroy();
          });
          // The head says everything: what becomes of the rest is of no interest.
          response.on("error", () => undefined);
          resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] });
        });
        request.end(body);
      }),
    [Symbol.dispose]: () => {
      agents["http:"].destroy();
      agents["https:"].destroy();
    },
  };
}
