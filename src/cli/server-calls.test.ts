import assert from "node:assert/strict";
import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { SignIn, givenCredentials } from "./listen-credentials.ts";
import { ServerAway, callServer, serverUrl } from "./server-calls.ts";
import { UsageError } from "./verb.ts";

async function serve(t: TestContext, listener: RequestListener): Promise<URL> {
  const server = createServer(listener);
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return serverUrl(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const { signal } = new AbortController();

test("an address may lie below a path, and must be one of HTTP without a password", () => {
  for (const [text, href] of [
    ["http://a.example", "http://a.example/"],
    ["https://a.example:8443/talk", "https://a.example:8443/talk/"],
    ["https://a.example/talk//?x#y", "https://a.example/talk/"],
  ] as const)
    assert.equal(serverUrl(text).href, href);
  for (const text of ["", "a.example", "ftp://a.example", "ws://a.example", "http://me:pw@a.example"])
    assert.throws(() => serverUrl(text), UsageError, text);
});

test("what may be over in a while is told apart from what will not be", async (t) => {
  for (const [status, body, away, message] of [
    [401, '{"detail":"sign in again"}', false, /answers 401 to \/health\/live: sign in again$/],
    [404, "<html>", false, /answers 404 to \/health\/live: is that the server, with its API\?$/],
    [301, "", false, /answers 301 /],
    [429, "", true, /answers 429 /],
    [503, '{"detail":"sign in again"}', true, /answers 503 to \/health\/live$/],
  ] as const) {
    const server = await serve(t, (_request, response) => response.writeHead(status).end(body));
    await assert.rejects(callServer(server, "health/live"), (error: Error) => {
      assert.match(error.message, message);
      assert.equal(error instanceof ServerAway, away, error.message);
      return true;
    });
  }
  const gone = await serve(t, (_request, response) => response.destroy());
  await assert.rejects(callServer(gone, "health/live"), ServerAway);
});

test("a sign-in begins once the server is there, is renewed for each connection, and ended", async (t) => {
  const calls: string[] = [];
  let status = 503;
  const server = await serve(t, (request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      calls.push(`${request.url} ${body}`);
      const next = JSON.stringify({ access_token: `a${calls.length}`, refresh_token: `tdr_${calls.length}` });
      response.writeHead(status).end(next);
    });
  });
  let begun = 0;
  {
    const begin = () => Promise.resolve(`tdr_begun-${++begun}`);
    await using signIn = new SignIn(server, { begin, again: true });
    await assert.rejects(signIn.token(signal), ServerAway);
    assert.equal(begun, 0, "nothing is begun for a server that is not there");
    status = 200;
    assert.equal(await signIn.token(signal), "a3");
    assert.equal(await signIn.token(signal), "a4");
  }
  assert.equal(begun, 1);
  assert.deepEqual(calls.slice(1), [
    "/health/live ",
    '/api/v1/auth/refresh {"refresh_token":"tdr_begun-1"}',
    '/api/v1/auth/refresh {"refresh_token":"tdr_3"}',
    '/api/v1/auth/logout {"refresh_token":"tdr_4"}',
  ]);
});

test("a sign-in that is over is begun anew where it can be, once, and not when it had just begun", async (t) => {
  const shown: string[] = [];
  let refused: RegExp = /never/;
  const server = await serve(t, (request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      if (request.url?.endsWith("refresh") !== true) return response.end("{}");
      const { refresh_token: token } = JSON.parse(body) as { refresh_token: string };
      shown.push(token);
      if (refused.test(token)) return response.writeHead(401).end('{"detail":"sign in again"}');
      return response.end(`{"access_token":"of ${token}","refresh_token":"${token}+"}`);
    });
  });
  for (const again of [true, false]) {
    let begun = 0;
    shown.length = 0;
    refused = /\+$/;
    await using signIn = new SignIn(server, { begin: () => Promise.resolve(`tdr_${++begun}`), again });
    assert.equal(await signIn.token(signal), "of tdr_1");
    if (again) assert.equal(await signIn.token(signal), "of tdr_2");
    else await assert.rejects(signIn.token(signal), /sign in again/);
    assert.deepEqual(shown, again ? ["tdr_1", "tdr_1+", "tdr_2"] : ["tdr_1", "tdr_1+"]);
    refused = /./;
    await assert.rejects(signIn.token(signal), /sign in again/);
    assert.equal(begun, again ? 3 : 1, "no second time at once");
  }
});

test("an access token is shown as it is, a refresh token is renewed, and other texts are refused", async (t) => {
  const asked: string[] = [];
  const server = await serve(t, (request, response) => {
    asked.push(request.url ?? "");
    response.end('{"access_token":"new","refresh_token":"tdr_2"}');
  });
  {
    await using given = givenCredentials(server, " an.access.token\n");
    assert.equal(await given.token(signal), "an.access.token");
  }
  assert.deepEqual(asked, []);
  {
    await using given = givenCredentials(server, "tdr_1");
    assert.equal(await given.token(signal), "new");
  }
  assert.deepEqual(asked.slice(1), ["/api/v1/auth/refresh", "/api/v1/auth/logout"]);
  for (const text of ["two words", "tdr_1\r\nHost: x", "ж"])
    assert.throws(() => givenCredentials(server, text), UsageError);
});
