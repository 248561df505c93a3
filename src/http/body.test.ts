import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { Type } from "typebox";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import type { RouteRequest } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import { parseSafely } from "./json.ts";
import { parseRaw, postJson, problemOf, sendRaw, startTestServer, testRoute } from "./test-server.fixture.ts";

/** A route that repeats its body, and says what it was given as bytes. */
const echo = testRoute({
  scope: "self",
  authenticate: () => {
    const sender = { raw: "" };
    const verifyBody = (bytes: Buffer): void => {
      sender.raw = bytes.toString("utf8");
    };
    return { sender, verifyBody };
  },
  handler: async ({ body, sender, rawText }: RouteRequest) => ({
    status: 200,
    json: JSON.stringify({ body, ...(sender as object | undefined), text: rawText }),
  }),
});

test("JSON arrives parsed, and as bytes and text where the route authenticates it, however it was cut up", async () => {
  const plain = testRoute({ path: "/plain", handler: echo.handler });
  await using server = await startTestServer({ routes: [echo, plain] });
  const text = `{ "a": ["ж", "${"x".repeat(200_000)}"] }`;
  const kept = { body: JSON.parse(text) as unknown, raw: text, text };
  assert.deepEqual(await (await postJson(`${server.url}/thing`, text)).json(), kept);
  assert.deepEqual(await (await postJson(`${server.url}/plain`, text)).json(), { body: kept.body });
  const bytes = [...Buffer.from('"ж€"')].map((byte) => Buffer.from([byte]));
  const chunks = bytes.flatMap((byte) => [Buffer.from("1\r\n"), byte, Buffer.from("\r\n")]);
  const answer = await sendRaw(
    server.port,
    "POST /thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    ...chunks,
    "0\r\n\r\n",
  );
  assert.match(answer, /\{"body":"ж€","raw":"\\"ж€\\"","text":"\\"ж€\\""\}$/);
});

test("a body that is not JSON is refused with the place and without its text", async () => {
  await using server = await startTestServer({ routes: [echo] });
  const broken: Record<string, RegExp | undefined> = {
    '{"secret":1,}': /character 13 \(line 1, column 13\)/,
    '{"secret":': /ends before/,
    secret: undefined,
    '{"a":1}secret': /character 8/,
    '"secret\n"': /character 8/,
    "﻿{}": undefined,
  };
  for (const [text, place] of Object.entries(broken)) {
    const response = await postJson(`${server.url}/thing`, text);
    assert.equal(response.status, 400, text);
    const problem = await problemOf(response);
    assert.equal(problem.code, "invalid_json");
    assert.doesNotMatch(JSON.stringify(problem), /secret/);
    if (place !== undefined) assert.match(problem.detail ?? "", place);
  }
});

test("bytes that are not UTF-8 are refused", async () => {
  await using server = await startTestServer({ routes: [echo] });
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc3, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
  ]) {
    const problem = await problemOf(postJson(`${server.url}/thing`, new Uint8Array(bytes)));
    assert.equal(problem.code, "invalid_encoding");
  }
});

test("keys that would poison prototypes are refused, however they are spelled", async () => {
  await using server = await startTestServer({ routes: [echo] });
  for (const text of [
    '{"__proto__":{"admin":true}}',
    '{"a":[{"\\u005f_proto__":1}]}',
    '{"constructor":{"prototype":{"admin":true}}}',
  ]) {
    const response = await postJson(`${server.url}/thing`, text);
    assert.equal(response.status, 400, text);
    assert.equal((await problemOf(response)).code, "invalid_body");
  }
  for (const text of ['{"a":"__proto__"}', '{"constructor":"Acme"}', '{"a":"\\u0041"}']) {
    assert.equal((await postJson(`${server.url}/thing`, text)).status, 200, text);
  }
});

test("the prototype check refuses exactly what has such a key, at any depth", () => {
  const clean = fc.jsonValue({ maxDepth: 4 });
  const path = fc.array(fc.constantFrom("list", "object"), { maxLength: 5 });
  fc.assert(
    fc.property(clean, path, fc.boolean(), (value, path, poisoned) => {
      const inner = poisoned ? `{"__proto__":${JSON.stringify(value)}}` : JSON.stringify(value);
      const text = path.reduce((text, step) => (step === "list" ? `[1,${text}]` : `{"k":${text}}`), inner);
      const refused = poisoned || /"__proto__":|"constructor":\{"prototype":/.test(text);
      if (refused) assert.throws(() => parseSafely(text), AppError);
      else assert.deepEqual(parseSafely(text), JSON.parse(text));
    }),
  );
});

test("very deep nesting is no more than a body like any other", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const depth = 200_000;
  const response = await postJson(
    `${server.url}/thing`,
    `${'[{"\\u0061":'.repeat(depth / 4)}1${"}]".repeat(depth / 4)}`,
  );
  assert.equal(response.status, 200);
});

test("only JSON in UTF-8 is accepted", async () => {
  await using server = await startTestServer({ routes: [echo] });
  const statusFor = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`${server.url}/thing`, { method: "POST", headers, body: new TextEncoder().encode("{}") }))
      .status;
  for (const type of [
    "application/json",
    "application/json; charset=utf-8",
    'Application/JSON;charset="UTF-8"',
  ]) {
    assert.equal(await statusFor({ "content-type": type }), 200, type);
  }
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/merge-patch+json",
    "application/json; charset=latin1",
    "nonsense",
  ]) {
    assert.equal(await statusFor({ "content-type": type }), 415, type);
  }
  assert.equal(await statusFor({}), 415, "no content type");
  assert.equal(await statusFor({ "content-type": "application/json", "content-encoding": "gzip" }), 415);
});

test("a body is asked for where the schema wants one, and not otherwise", async () => {
  const body = Type.Object({ a: Type.Optional(Type.String()) });
  const routes = [testRoute({ path: "/wants", body }), testRoute({ path: "/wants-none" })];
  await using server = await startTestServer({ routes });
  for (const headers of [{}, { "content-type": "application/json" }]) {
    const problem = await problemOf(fetch(`${server.url}/wants`, { method: "POST", headers }));
    assert.equal(problem.code, "invalid_body");
    assert.deepEqual(problem.errors, [{ pointer: "", code: "type", detail: "must be an object" }]);
    assert.equal((await fetch(`${server.url}/wants-none`, { method: "POST", headers })).status, 200);
  }
});

test("a body of exactly the limit is accepted and one byte more is 413", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const ofLength = (bytes: number): string => `"${"a".repeat(bytes - 2)}"`;
  assert.equal((await postJson(`${server.url}/thing`, ofLength(limits.requestBodyBytes))).status, 200);
  const response = await postJson(`${server.url}/thing`, ofLength(limits.requestBodyBytes + 1));
  assert.equal(response.status, 413);
  assert.equal((await problemOf(response)).code, "body_too_large");
});

test("a route's own limit counts where it has one", async () => {
  await using server = await startTestServer({ routes: [testRoute({ bodyBytesMax: 10 })] });
  assert.equal((await postJson(`${server.url}/thing`, '"12345678"')).status, 200);
  const problem = await problemOf(postJson(`${server.url}/thing`, '"123456789"'));
  assert.equal(problem.code, "body_too_large");
  assert.equal(problem.detail, "at most 10 bytes are accepted");
});

test("a route that authenticates its requests does so before the body is read, and again before it is parsed", async () => {
  let handled = 0;
  const route = testRoute({
    scope: "self",
    authenticate: ({ headers }) => {
      if (headers["x-who"] === undefined) throw new AppError("unauthorized");
      const verifyBody = (bytes: Buffer): void => {
        if (!bytes.includes("secret")) throw new AppError("signature_invalid");
      };
      const proof = { sender: headers["x-who"], verifyBody };
      return headers["x-who"] === "later" ? Promise.resolve(proof) : proof;
    },
    handler: async () => {
      handled++;
      return { status: 200 };
    },
  });
  await using server = await startTestServer({ routes: [route] });
  // The head alone is sent: whoever waited for the body would not answer.
  const head =
    "POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
  assert.match(await firstOf(server.port, head), /^HTTP\/1\.1 401 /);
  for (const who of ["now", "later"]) {
    const post = (body: string): Promise<Response> => postJson(`${server.url}/thing`, body, { "x-who": who });
    assert.equal((await problemOf(post("not even JSON"))).code, "signature_invalid");
    assert.equal((await problemOf(post("secret, no JSON"))).code, "invalid_json");
    assert.equal((await post('"secret"')).status, 200);
  }
  assert.equal(handled, 2);
});

/** What comes first on a connection on which this was sent and nothing follows. */
function firstOf(port: number, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(sent));
    socket.on("error", reject);
    socket.once("data", (answer) => {
      socket.destroy();
      resolve(answer.toString("latin1"));
    });
  });
}

/** Sends a request whose body is far too large, all of it, before it looks at the answer; like many simple clients. */
function sendHuge(port: number, head: string, parts: readonly Buffer[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", reject);
    socket.write(`POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${head}\r\n\r\n`);
    for (const part of parts.slice(0, -1)) socket.write(part);
    socket.write(parts.at(-1) ?? "", () =>
      socket.once("data", (answer) => {
        socket.destroy();
        resolve(answer.toString("utf8"));
      }),
    );
  });
}

test("a client that sends 11 MB with a length gets to read its 413", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const part = Buffer.alloc(1024 * 1024, "a");
  const parts = Array.from({ length: 11 }, () => part);
  const answer = await sendHuge(server.port, `Content-Length: ${11 * part.length}`, parts);
  assert.equal(parseRaw(answer).status, 413);
});

test("a client that sends 11 MB in chunks gets to read its 413", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const size = 64 * 1024;
  const chunk = Buffer.concat([
    Buffer.from(`${size.toString(16)}\r\n`),
    Buffer.alloc(size, "a"),
    Buffer.from("\r\n"),
  ]);
  const parts = [...Array.from({ length: 176 }, () => chunk), Buffer.from("0\r\n\r\n")];
  const answer = await sendHuge(server.port, "Transfer-Encoding: chunked", parts);
  assert.equal(parseRaw(answer).body.code, "body_too_large");
});

test("after a broken body the connection goes on", async () => {
  await using server = await startTestServer({ routes: [testRoute()] });
  const answers = await new Promise<string>((resolve, reject) => {
    let all = "";
    const request = (body: string, more = ""): string =>
      `POST /thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
    const socket = connect(server.port, "127.0.0.1", () => {
      socket.write(request("{broken") + request("{}", "Connection: close\r\n"));
    });
    socket.on("data", (data) => {
      all += data.toString("utf8");
    });
    socket.on("end", () => {
      socket.destroy();
      resolve(all);
    });
    socket.on("error", reject);
  });
  assert.match(answers, /^HTTP\/1\.1 400 [^]*HTTP\/1\.1 200 /);
});
