import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocket as PackageSocket, WebSocketServer } from "ws";
import { Socket, type SocketClass } from "./socket.ts";

const kinds: Readonly<Record<string, SocketClass>> = {
  "of Node": WebSocket,
  "of the package ws": PackageSocket,
};

/** What a socket says, as words, and a promise of the next of them. */
function listen(SocketOf: SocketClass, url: string) {
  const said: string[] = [];
  let heard = Promise.withResolvers<void>();
  const say = (word: string): void => {
    said.push(word);
    heard.resolve();
    heard = Promise.withResolvers();
  };
  const socket = new Socket(() => new SocketOf(url, ["tidings.v1"]), {
    opened: () => say("opened"),
    message: (text) => say(text),
    closed: (code) => say(`closed ${code}`),
  });
  const until = async (count: number): Promise<readonly string[]> => {
    while (said.length < count) await heard.promise;
    return said;
  };
  return { socket, until, said };
}

for (const [name, SocketOf] of Object.entries(kinds)) {
  test(`a WebSocket ${name} opens, carries texts, and tells the close code`, async (t) => {
    const server = new WebSocketServer({ port: 0, handleProtocols: () => "tidings.v1" });
    t.after(() => server.close());
    server.on("connection", (peer) => {
      peer.on("message", (data: Buffer) => {
        peer.send(`heard ${data.toString()}`);
        peer.send(Buffer.from("bytes are nothing to us"));
        peer.close(4103, "bye");
      });
    });
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { socket, until } = listen(SocketOf, `ws://127.0.0.1:${port}`);
    await until(1);
    socket.send("hello");
    assert.deepEqual(await until(3), ["opened", "heard hello", "closed 4103"]);
    // It is over: nothing throws.
    socket.send("late");
    socket.close(1000);
  });

  test(`a WebSocket ${name} that cannot be opened is closed without a word`, async (t) => {
    const server = createServer((peer) => peer.destroy()).listen(0, "127.0.0.1");
    t.after(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { until } = listen(SocketOf, `ws://127.0.0.1:${port}`);
    assert.deepEqual(await until(1), ["closed 1006"]);
    const { until: other } = listen(SocketOf, "nonsense://nowhere");
    assert.deepEqual(await other(1), ["closed 1006"]);
  });

  test(`a WebSocket ${name} that was closed by us says nothing more`, async (t) => {
    const server = new WebSocketServer({ port: 0, handleProtocols: () => "tidings.v1" });
    t.after(() => server.close());
    const closed = Promise.withResolvers<number>();
    server.on("connection", (peer) => {
      peer.on("close", (code: number) => closed.resolve(code));
      peer.send("too late");
    });
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { socket, until, said } = listen(SocketOf, `ws://127.0.0.1:${port}`);
    await until(1);
    const before = said.length;
    socket.close(4106);
    assert.equal(await closed.promise, 4106);
    assert.equal(said.length, before);
  });
}
