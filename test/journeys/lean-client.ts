import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";

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
  return ({ method = "POST", path, headers: given = {}, body }) =>
    new Promise((resolve, reject) => {
      // With DELETE, Node writes a body without saying that there is one.
      const inOne = typeof body === "string" || body instanceof Uint8Array;
      const [whole, parts] = inOne ? [body, []] : [undefined, body ?? []];
      const headers = whole?.length ? { ...given, "content-length": Buffer.byteLength(whole) } : given;
      const outgoing = request({ agent, host: hostname, port, method, path, headers }, (incoming) => {
        const received: Buffer[] = [];
        incoming.on("data", (part: Buffer) => received.push(part));
        incoming.on("error", reject);
        incoming.on("end", () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text: Buffer.concat(received).toString("utf8"),
          }),
        );
      });
      outgoing.on("error", reject);
      for (const part of parts) outgoing.write(part);
      outgoing.end(whole);
    });
}

/**
 * Posts JSON with header lines that no client would send, on a connection of its own, and resolves with the answer once
 * the server ends the connection. `missing` bytes of the body are promised and never sent.
 */
export function sendOdd(
  url: string,
  call: {
    readonly path: string;
    readonly odd: readonly string[];
    readonly body: string;
    readonly missing?: number;
  },
): Promise<Reply> {
  const { hostname, port } = new URL(url);
  const { path, odd, body, missing = 0 } = call;
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: ${hostname}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body) + missing}`,
    ...odd,
  ];
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(`${head.join("\r\n")}\r\n\r\n${body}`));
    socket.setEncoding("utf8");
    socket.on("data", (text) => {
      answer += String(text);
    });
    socket.on("error", (error) => (answer === "" ? reject(error) : resolve(toReply(answer))));
    socket.on("end", () => {
      socket.destroy();
      resolve(toReply(answer));
    });
  });
}

function toReply(answer: string): Reply {
  const split = answer.indexOf("\r\n\r\n");
  const [first = "", ...lines] = answer.slice(0, split).split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return {
    status: Number(first.split(" ")[1]),
    headers: Object.fromEntries(headers),
    text: answer.slice(split + 4),
  };
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
