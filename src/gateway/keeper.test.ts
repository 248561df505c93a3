import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { CloseReason } from "../../protocol/close-codes.ts";
import { manualClock } from "../../test/harness.ts";
import type { UserActor } from "../access/actor.ts";
import { AppError } from "../lib/errors.ts";
import { openStuck } from "./connection.fixture.ts";
import { unsentBytesMax } from "./connection.ts";
import { Keeper, heartbeatMs, slowReaderMs } from "./keeper.ts";
import { textsOf } from "./reader.fixture.ts";

function open(t: TestContext, refusal?: AppError) {
  const clock = manualClock();
  const ended: CloseReason[] = [];
  const keeper = new Keeper({
    access: {
      authenticate: () => (refusal === undefined ? Promise.resolve(person(0)) : Promise.reject(refusal)),
    },
    clock,
    end: (_, reason) => ended.push(reason),
  });
  t.after(() => keeper.stop());
  return { ...openStuck(), keeper, clock, ended };
}

function person(expiresAt: number): UserActor {
  const scopes = new Set<never>();
  return { kind: "user", id: 1, username: "ann", role: "user", sessionId: undefined, expiresAt, scopes };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a client that answers is pinged again, and one that was silent for a whole turn is dead", (t) => {
  const { keeper, connection, link, ended } = open(t);
  keeper.visit(connection);
  connection.heard = true;
  keeper.visit(connection);
  assert.deepEqual([link.written.length, ended], [2, []]);
  keeper.visit(connection);
  assert.deepEqual(ended, ["dead"]);
});

test("a client that cannot answer pings is not taken for dead", (t) => {
  const { keeper, connection, link, ended } = open(t);
  link.answersPings = false;
  for (let i = 0; i < 3; i++) keeper.visit(connection);
  assert.deepEqual(ended, []);
});

test("whoever takes nothing is not asked to answer, and is sent away when it has lasted too long", (t) => {
  const { keeper, connection, ended } = open(t);
  connection.write(Buffer.alloc(unsentBytesMax + 1));
  connection.lag();
  for (let i = 0; i < 3; i++) keeper.visit(connection);
  assert.deepEqual(ended, []);
  connection.fullSinceMs = performance.now() - slowReaderMs - 1;
  keeper.visit(connection);
  assert.deepEqual(ended, ["slow_reader"]);
});

test("the end of a token is announced once, a minute before, and then it is the end", (t) => {
  const { keeper, connection, link, clock, ended } = open(t);
  connection.actor = person(clock.now() + 60_001);
  const visit = (): string[] => {
    connection.heard = true;
    link.written.length = 0;
    keeper.visit(connection);
    return link.written.slice(1).flatMap(textsOf);
  };
  assert.deepEqual(visit(), []);
  clock.advance(1);
  assert.match(visit()[0] ?? "", /"token.expiring"/);
  assert.deepEqual(visit(), []);
  clock.advance(60_000);
  visit();
  assert.deepEqual(ended, ["token_expired"]);
});

/** A connection whose token ends between two turns, and the time that passes for all. */
function openEnding(t: TestContext, leftMs: number) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const opened = open(t);
  const { connection, clock, keeper, link } = opened;
  connection.actor = person(clock.now() + leftMs);
  keeper.visit(connection);
  return {
    ...opened,
    pass: (ms: number) => {
      connection.heard = true;
      clock.advance(ms);
      t.mock.timers.tick(ms);
    },
    told: () => link.written.flatMap(textsOf).filter((text) => text.includes("token.expiring")).length,
  };
}

test("a token that ends between two turns ends the connection at that moment", (t) => {
  const { pass, ended, told } = openEnding(t, heartbeatMs - 1);
  pass(heartbeatMs - 2);
  assert.deepEqual([ended, told()], [[], 1]);
  pass(1);
  assert.deepEqual(ended, ["token_expired"]);
});

test("a token that is renewed before it ends does not end the connection, and the newer one does", (t) => {
  const { pass, ended, connection, clock, keeper } = openEnding(t, 10_000);
  pass(9_999);
  keeper.visit(connection);
  assert.deepEqual(ended, []);
  connection.actor = person(clock.now() + 40_000);
  pass(1);
  assert.deepEqual(ended, []);
  keeper.visit(connection);
  pass(heartbeatMs);
  keeper.visit(connection);
  assert.deepEqual(ended, []);
  pass(40_000 - heartbeatMs - 2);
  assert.deepEqual(ended, []);
  pass(1);
  assert.deepEqual(ended, ["token_expired"]);
});

test("nobody is sent away for a token once they have gone", (t) => {
  const gone = openEnding(t, 10_000);
  gone.keeper.remove(gone.connection);
  gone.pass(10_000);
  assert.deepEqual(gone.ended, []);
});

test("a keeper that has stopped sends nobody away", (t) => {
  const { keeper, pass, ended } = openEnding(t, 10_000);
  keeper.stop();
  pass(2 * heartbeatMs);
  assert.deepEqual(ended, []);
});

test("a key that was revoked ends its connections; a database that is away does not", async (t) => {
  const away = open(t, new AppError("unavailable"));
  away.connection.apiKey = "tdk_x";
  away.keeper.visit(away.connection);
  const revoked = open(t, new AppError("unauthorized"));
  revoked.connection.apiKey = "tdk_x";
  revoked.keeper.visit(revoked.connection);
  await settled();
  assert.deepEqual([away.ended, revoked.ended], [[], ["unauthorized"]]);
});
