import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Signal, createLocalSignals } from "./signals.ts";
import { Presence, believeMs, presenceTopics } from "./presence.ts";

/** Gateways that hear each other, with a clock that is moved by hand. */
function open(t: TestContext, ...nodes: readonly string[]) {
  const signals = createLocalSignals();
  const clock = { ms: 0 };
  const told = new Map<string, string[]>();
  const gateways = nodes.map((node) => {
    const list: string[] = [];
    told.set(node, list);
    const post = ({ topic, data }: Signal): void => {
      list.push(`${topic} ${(data as { online: boolean }).online ? "on" : "off"}`);
    };
    return new Presence({ node, signals, post, now: () => clock.ms });
  });
  t.after(() => {
    for (const gateway of gateways) gateway.stop();
  });
  return { gateways, clock, told: (node: string) => told.get(node) ?? [] };
}

test("somebody who comes is told once, at every gateway, however many connections follow", (t) => {
  const { gateways, told } = open(t, "a", "b");
  const [a, b] = gateways;
  a?.arrived(7);
  a?.arrived(7);
  b?.arrived(7);
  assert.deepEqual([told("a"), told("b")], [["presence/7 on"], ["presence/7 on"]]);
  assert.deepEqual([a?.isOnline(7), b?.isOnline(7), a?.isOnline(8)], [true, true, false]);
});

test("somebody who comes back within the grace has not been away; after it they are", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const { gateways, told } = open(t, "a");
  const [a] = gateways;
  a?.arrived(7);
  a?.left(7);
  t.mock.timers.tick(4_999);
  a?.arrived(7);
  t.mock.timers.tick(20_000);
  assert.deepEqual(told("a"), ["presence/7 on"]);
  a?.left(7);
  t.mock.timers.tick(5_000);
  assert.deepEqual(told("a"), ["presence/7 on", "presence/7 off"]);
});

test("a gateway that stops takes its people with it, but for those who are elsewhere", (t) => {
  const { gateways, told } = open(t, "a", "b", "c");
  const [a, b] = gateways;
  a?.arrived(7);
  a?.arrived(8);
  b?.arrived(8);
  a?.stop();
  assert.deepEqual(told("c"), ["presence/7 on", "presence/8 on", "presence/7 off"]);
});

test("what a gateway that died has said is believed for a while and then forgotten", (t) => {
  const { gateways, clock, told } = open(t, "a", "b");
  const [a, b] = gateways;
  a?.arrived(7);
  clock.ms = believeMs;
  b?.turn();
  assert.equal(b?.isOnline(7), true);
  clock.ms = believeMs + 1;
  b?.turn();
  assert.deepEqual(told("b"), ["presence/7 on", "presence/7 off"]);
});

test("a gateway that came later learns within a round who was there before", (t) => {
  const signals = createLocalSignals();
  const a = new Presence({ node: "a", signals, post: () => undefined });
  for (let userId = 1; userId <= 20; userId++) a.arrived(userId);
  const b = new Presence({ node: "b", signals, post: () => undefined });
  t.after(() => {
    a.stop();
    b.stop();
  });
  assert.equal(b.isOnline(1), false);
  b.turn();
  for (let i = 0; i < 6; i++) a.turn();
  for (let userId = 1; userId <= 20; userId++) assert.ok(b.isOnline(userId), `person ${userId}`);
});

test("only people may ask who is there, and only for what can be a person", async () => {
  const scopes = new Set<never>();
  const person = {
    kind: "user",
    id: 1,
    username: "ann",
    role: "user",
    sessionId: undefined,
    expiresAt: 0,
    scopes,
  } as const;
  await presenceTopics.authorize(person, "7");
  for (const id of ["", "0", "07", "x", "1/2", "9".repeat(16)]) {
    await assert.rejects(presenceTopics.authorize(person, id), { code: "not_found" }, id);
  }
});
