import { Agent, type IncomingHttpHeaders, request } from "node:http";

/** A client without frills: for many requests over few connections, and for those that `fetch` would not send. */
export type LeanClient = (call: Call) => Promise<Reply>;

export type Call = {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Parts are sent one by one, without a Content-Length. */
  readonly body?: string | Uint8Array | readonly Uint8Array[];
};

export type Reply = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
};

type Cleanup = { after(callback: () => Promise<void>): void };

/** Opens at most `connections` connections to `url` and keeps them until the test ends. */
export function openLeanClient(t: Cleanup, url: string, connections: number): LeanClient {
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  t.after(async () => agent.destroy());
  return ({ method = "POST", path, headers = {}, body }) =>
    new Promise((resolve, reject) => {
      const outgoing = request({ agent, host: hostname, port, method, path, headers }, (incoming) => {
        const parts: Buffer[] = [];
        incoming.on("data", (part: Buffer) => parts.push(part));
        incoming.on("error", reject);
        incoming.on("end", () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text: Buffer.concat(parts).toString("utf8"),
          }),
        );
      });
      outgoing.on("error", reject);
      if (typeof body === "string" || body instanceof Uint8Array) {
        outgoing.end(body);
        return;
      }
      for (const part of body ?? []) outgoing.write(part);
      outgoing.end();
    });
}

/** Does `work` for 0 to `count` - 1, `lanes` of them at a time; resolves with the results in order. */
export async function inLanes<T>(
  count: number,
  lanes: number,
  work: (index: number) => Promise<T>,
): Promise<readonly T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await work(index);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}
