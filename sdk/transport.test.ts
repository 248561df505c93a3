import assert from "node:assert/strict";
import { test } from "node:test";
import { TidingsError } from "./errors.ts";
import { type Call, attemptsMax, callTimeoutMs, createTransport, retryAfterMaxS } from "./transport.ts";
import {
  type Asked,
  ManualClock,
  type Told,
  fakeFetch,
  outcomeOf,
  problem,
  settle,
} from "./world.fixture.ts";

const read: Call = { method: "GET", path: "/things", repeatable: true };
const make: Call = { method: "POST", path: "/things", body: { a: 1 }, repeatable: false };

/** A transport whose server gives these answers, the last one for ever. */
function connect(...answers: readonly (Told | Promise<Told>)[]) {
  const clock = new ManualClock();
  let n = 0;
  const fetch = fakeFetch(() => answers[Math.min(n++, answers.length - 1)] ?? { status: 204 });
  const transport = createTransport({ url: "http://server/base", fetch, clock, random: () => 0.5 });
  return { transport, clock, asked: fetch.asked };
}

async function errorOf(promise: Promise<unknown>): Promise<TidingsError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TidingsError);
  return error;
}

test("a call carries its query, its body and the credential, and resolves with the answer", async () => {
  const { transport, asked } = connect({ status: 201, body: { id: 7 } });
  const call: Call = { ...make, query: { limit: 5, "a b": "ж&", none: undefined } };
  assert.deepEqual(await transport(call, "token"), { id: 7 });
  const [one] = asked;
  assert.equal(one?.path, "/base/things?limit=5&a%20b=%D0%B6%26");
  assert.equal(one?.headers["authorization"], "Bearer token");
  assert.equal(one?.headers["content-type"], "application/json");
  assert.deepEqual(one?.body, { a: 1 });
});

test("without a body, a credential or an answer's text there is none", async () => {
  const { transport, asked } = connect({ status: 204 });
  assert.equal(await transport(read), undefined);
  assert.equal(asked[0]?.headers["authorization"], undefined);
  assert.equal(asked[0]?.headers["content-type"], undefined);
  assert.equal(asked[0]?.body, undefined);
});

test("a problem becomes an error with its code, status, fields and request", async () => {
  const errors = [{ pointer: "/a", code: "type", detail: "must be text" }];
  const { transport } = connect(problem(400, "invalid_body", { detail: "no", errors, request_id: "r1" }));
  const error = await errorOf(transport(make));
  const { code, status, retry, fields, requestId, message } = error;
  assert.deepEqual(
    { code, status, retry, fields, requestId, message },
    {
      code: "invalid_body",
      status: 400,
      retry: "no",
      fields: errors,
      requestId: "r1",
      message: "invalid_body: no",
    },
  );
});

test("what is no problem is judged by its status", async () => {
  const cases: readonly [number, string, string][] = [
    [502, "unavailable", "later"],
    [503, "overloaded", "later"],
    [413, "body_too_large", "no"],
    [418, "unexpected_answer", "later"],
    [599, "unexpected_answer", "later"],
  ];
  for (const [status, code, retry] of cases) {
    const { transport } = connect({ status, body: "<html>nginx</html>" });
    const error = await errorOf(transport(make));
    assert.deepEqual([error.status, error.code, error.retry], [status, code, retry]);
  }
});

test("a page of somebody else's is no verdict of the server about who is signed in or what there is", async () => {
  for (const status of [400, 401, 402, 403, 404, 405, 407, 410, 421, 451]) {
    const gateways = [
      { message: "no route" },
      { code: "UNAUTHENTICATED", message: "no" },
      { code: "x", title: "y" },
      { code: "x", status },
    ];
    for (const body of ["<html>Sign in to the hotel's network</html>", "", ...gateways]) {
      const { transport } = connect({ status, body });
      const error = await errorOf(transport(make));
      assert.deepEqual([error.status, error.code, error.retry], [status, "unexpected_answer", "later"]);
    }
    const { transport } = connect(problem(status, "too_modern"));
    const error = await errorOf(transport(make));
    assert.deepEqual([error.status, error.code, error.retry], [status, "too_modern", "no"]);
  }
});

test("a code that this version does not know keeps its name, and goes by its status", async () => {
  const { transport } = connect(problem(409, "too_modern"));
  const error = await errorOf(transport(read));
  assert.deepEqual([error.code, error.status, error.retry], ["too_modern", 409, "no"]);
});

test("a repeatable call is sent again after a pause, so many times and no more", async () => {
  const { transport, clock, asked } = connect(new Error("refused"));
  const call = errorOf(transport(read));
  for (let i = 0; i < attemptsMax + 1; i++) await clock.pass(20_000);
  assert.equal((await call).code, "network");
  assert.equal(asked.length, attemptsMax);
  assert.equal(clock.timers, 0);
});

test("a call that may have been done is not sent again unless it is repeatable", async () => {
  for (const answer of [new Error("reset"), problem(503, "unavailable"), { status: 500 }]) {
    const { transport, asked } = connect(answer, { status: 201, body: {} });
    await errorOf(transport(make));
    assert.equal(asked.length, 1);
  }
});

test("a call that was turned away for its rate is sent again, whatever it does, when the server says", async () => {
  const { transport, clock, asked } = connect(
    { ...problem(429, "rate_limited"), headers: { "retry-after": "3" } },
    { status: 201, body: { done: true } },
  );
  const call = transport(make);
  await clock.pass(2_999);
  assert.equal(asked.length, 1);
  await clock.pass(1_000);
  assert.deepEqual(await call, { done: true });
});

test("a server that asks for a longer pause than is waited for is not asked again", async () => {
  for (const [seconds, sent] of [
    [retryAfterMaxS, 2],
    [retryAfterMaxS + 1, 1],
  ] as const) {
    const { transport, clock, asked } = connect(
      { status: 503, headers: { "retry-after": String(seconds) } },
      problem(400, "invalid_body"),
    );
    const call = errorOf(transport(read));
    await clock.pass(60_000);
    const error = await call;
    assert.equal(asked.length, sent);
    if (sent === 1) assert.equal(error.retryAfterS, seconds);
  }
});

test("Retry-After may be a date", async () => {
  const { transport, clock } = connect();
  const date = new Date(clock.now() + 20_000).toUTCString();
  const other = connect({ status: 503, headers: { "retry-after": date } });
  assert.equal((await errorOf(other.transport(read))).retryAfterS, 20);
  assert.equal(await transport(read), undefined);
});

test("no answer in time is an error, and the request is given up", async () => {
  const { transport, clock, asked } = connect(new Promise<Told>(() => undefined));
  const call = errorOf(transport(make));
  await clock.pass(callTimeoutMs - 1);
  assert.equal(await outcomeOf(call), "waiting");
  await clock.pass(1);
  assert.equal((await call).code, "timeout");
  assert.equal(asked[0]?.signal.aborted, true);
  assert.equal(clock.timers, 0);
});

test("its caller can give a call up, while it is sent and while it waits", async () => {
  const first = new AbortController();
  const sent = connect(new Promise<Told>(() => undefined));
  const call = errorOf(sent.transport({ ...read, signal: first.signal }));
  await settle();
  first.abort();
  assert.equal((await call).code, "aborted");

  const second = new AbortController();
  const waits = connect(new Error("refused"));
  const other = errorOf(waits.transport({ ...read, signal: second.signal }));
  await settle();
  second.abort();
  assert.equal((await other).code, "aborted");
  assert.equal(waits.asked.length, 1);

  const before = await errorOf(connect({ status: 204 }).transport({ ...read, signal: second.signal }));
  assert.equal(before.code, "aborted");
});

test("an answer of success that is no JSON is not taken for one", async () => {
  const { transport } = connect({ status: 200, body: "<html>login to the hotel's network</html>" });
  const error = await errorOf(transport(make));
  assert.deepEqual([error.code, error.retry], ["unexpected_answer", "later"]);
});

test("the same body is sent each time", async () => {
  const { transport, clock, asked } = connect(new Error("reset"), { status: 200, body: {} });
  const call = transport({ ...make, repeatable: true });
  await clock.pass(1_000);
  await call;
  const bodies = asked.map(({ body }: Asked) => body);
  assert.deepEqual(bodies, [{ a: 1 }, { a: 1 }]);
});
