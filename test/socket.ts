import { WebSocket } from "ws";
import { type HelloFrame, type ServerFrame, subprotocol } from "../protocol/frames.ts";
import { eventually } from "./harness.ts";

/** A WebSocket as a test sees it: what has come, and what it sends. */
export type TestSocket = {
  readonly ws: WebSocket;
  /** Everything that has come, parsed. */
  readonly frames: readonly ServerFrame[];
  /** Set when it is over. */
  readonly closed: { readonly code: number; readonly reason: string } | undefined;
  send(frame: unknown): void;
  /** The first frame that fits, of those that have come or will. */
  next<F extends ServerFrame>(what: string, fits: (frame: ServerFrame) => frame is F): Promise<F>;
  /** The answer to the request of this id, whatever it is. */
  answer(id: number): Promise<ServerFrame>;
  /** Resolves when the server, or the network, has ended it. */
  end(): Promise<{ readonly code: number; readonly reason: string }>;
};

/** Opens a socket to `url` of a test server; what the server says first is waited for by `hello`. */
export function openSocket(
  url: string,
  options: {
    readonly token?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly plain?: boolean;
    readonly localAddress?: string;
  } = {},
): TestSocket {
  const { token, headers = {}, plain = false, localAddress } = options;
  const address = new URL("/ws", url.replace("http", "ws"));
  if (token !== undefined) address.searchParams.set("token", token);
  const ws = new WebSocket(address, plain ? [] : [subprotocol], {
    headers: { ...headers },
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  const frames: ServerFrame[] = [];
  let closed: TestSocket["closed"];
  ws.on("message", (data: Buffer) => frames.push(JSON.parse(data.toString()) as ServerFrame));
  ws.on("close", (code, reason) => {
    closed = { code, reason: reason.toString() };
  });
  ws.on("error", () => undefined);

  const next: TestSocket["next"] = async (what, fits) => {
    await eventually(what, () => frames.some(fits) || closed !== undefined);
    const found = frames.find(fits);
    if (found === undefined) throw new Error(`closed with ${closed?.code} before ${what}`);
    return found;
  };
  return {
    ws,
    frames,
    get closed() {
      return closed;
    },
    send: (frame) => ws.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
    next,
    answer: (id) =>
      next(`the answer to ${id}`, (frame): frame is ServerFrame => "id" in frame && frame.id === id),
    end: async () => {
      await eventually("the socket ends", () => closed !== undefined);
      return closed ?? { code: 0, reason: "" };
    },
  };
}

/** Opens a socket and waits until the server has greeted it. */
export async function greet(
  url: string,
  token: string,
): Promise<TestSocket & { readonly hello: HelloFrame }> {
  const socket = openSocket(url, { token });
  const hello = await socket.next("hello", (frame): frame is HelloFrame => frame.type === "hello");
  return Object.assign(socket, { hello });
}
