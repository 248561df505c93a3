import assert from "node:assert/strict";
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { closeRules } from "../../protocol/close-codes.ts";
import { hearOnce, silentMs } from "./listen-connection.ts";
import { UnreadList } from "./listen-unread.ts";
import { recordStream } from "./recording.fixture.ts";
import { ServerAway } from "./server-calls.ts";
import { createTerminal } from "./terminal.ts";

/** A server that does with a connection whatever the test says, and a listener's one connection to it. */
async function open(t: TestContext, serve: (server: Server) => void) {
  const server = createServer();
  serve(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const stream = recordStream();
  const unread = new UnreadList(createTerminal({ stdout: stream, stderr: stream, env: {} }), { auto: false });
  const stop = new AbortController();
  const url = new URL(`http://127.0.0.1:${port}/`);
  const hear = (onOpen = (): void => undefined) =>
    hearOnce({
      server: url,
      parameters: { user_id: "7" },
      token: "secret",
      unread,
      onOpen,
      signal: stop.signal,
    });
  return { server, place: url.origin, stop, hear };
}

function sockets(onSocket: (socket: WebSocket, url: string) => void) {
  return (server: Server): void => {
    new WebSocketServer({ server }).on("connection", (socket, { url = "" }) => onSocket(socket, url));
  };
}

/** Answers the handshake with a status. */
function answers(status: number) {
  return (server: Server): void => {
    server.on("upgrade", (_request, socket) => socket.end(`HTTP/1.1 ${status} No\r\n\r\n`));
  };
}

test("a token that comes to its end is nothing to tell anybody", async (t) => {
  for (const reason of ["token_expired", "draining"] as const) {
    const { hear } = await open(
      t,
      sockets((socket) => socket.close(closeRules[reason].code)),
    );
    assert.equal((await hear()).isUsual, reason === "token_expired");
  }
});

test("the token goes in a header, and who somebody says they are in the URL", async (t) => {
  const seen: unknown[] = [];
  const { hear } = await open(t, (server) =>
    new WebSocketServer({ server }).on("connection", (socket, { url, headers }) => {
      seen.push(url, headers.authorization);
      socket.close(closeRules.draining.code);
    }),
  );
  const { why, withinMs } = await hear();
  assert.match(why, /^the connection to http:\/\/127\.0\.0\.1:\d+ is lost \(The server is shutting down\)$/);
  assert.deepEqual([withinMs, seen], [closeRules.draining.waitMaxMs, ["/ws?user_id=7", "Bearer secret"]]);
});

test("a close code that says not to come back ends it, with what the server says about it", async (t) => {
  const { hear, place } = await open(
    t,
    sockets((socket) => socket.close(closeRules.forbidden.code, "it is not whom login names")),
  );
  await assert.rejects(hear(), {
    name: "Error",
    message: `${place} has closed the connection: it is not whom login names`,
  });
});

test("a handshake that is refused for now is tried again, and one that leads nowhere is not", async (t) => {
  for (const [status, away] of [
    [404, false],
    [403, false],
    [429, true],
    [503, true],
  ] as const) {
    const { hear, place } = await open(t, answers(status));
    await assert.rejects(hear(), (error: Error) => {
      assert.deepEqual([error instanceof ServerAway, error.name !== "TypeError"], [away, true]);
      assert.ok(error.message.startsWith(`${place} answers ${status} to /ws`), error.message);
      return true;
    });
  }
});

test("where nobody listens, the address is named and why", async (t) => {
  const { hear, server, place } = await open(t, () => undefined);
  server.close();
  await once(server, "close");
  await assert.rejects(hear(), {
    name: "ServerAway",
    message: `no server answers at ${place} (ECONNREFUSED)`,
  });
});

test("a server over which nothing comes for so long, not even pings, is given up", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const connected = Promise.withResolvers<WebSocket>();
  const { hear } = await open(t, sockets(connected.resolve));
  const opened = Promise.withResolvers<void>();
  const over = hear(opened.resolve);
  const socket = await connected.promise;
  await opened.promise;
  t.mock.timers.tick(silentMs - 1);
  socket.ping();
  await once(socket, "pong");
  t.mock.timers.tick(silentMs - 1);
  assert.equal(socket.readyState, WebSocket.OPEN);
  t.mock.timers.tick(1);
  assert.match((await over).why, /is lost \(code 1006\)$/);
});

test("whoever ends it closes the connection in good order", async (t) => {
  const closed = Promise.withResolvers<number>();
  const { hear, stop } = await open(
    t,
    sockets((socket) => socket.on("close", closed.resolve)),
  );
  await hear(() => stop.abort());
  assert.equal(await closed.promise, 1000);
  await hear(() => assert.fail("it has ended"));
});
