import http from "node:http";

export type HttpAnswer = { readonly status: number; readonly body: string };

export type HttpCall = {
  readonly port: number;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Without one, a connection for this call alone. */
  readonly agent?: http.Agent;
  readonly timeoutMs: number;
};

/** One HTTP request. Rejects when the connection fails or the answer takes longer than the bound. */
export function send(call: HttpCall): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: "127.0.0.1",
      port: call.port,
      method: call.method ?? "GET",
      path: call.path,
      agent: call.agent ?? false,
      headers: {
        ...(call.body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": String(Buffer.byteLength(call.body)) }),
        ...call.headers,
      },
    });
    const timer = setTimeout(() => request.destroy(new Error("no answer in time")), call.timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    request.on("error", fail);
    request.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", fail);
      // A connection that breaks in the middle of an answer ends it without `end`.
      response.on("close", () => {
        clearTimeout(timer);
        if (response.complete) resolve({ status: response.statusCode ?? 0, body });
        else reject(new Error("the answer broke off"));
      });
    });
    request.end(call.body);
  });
}
