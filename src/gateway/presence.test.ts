import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Signal, createLocalSignals, signalBytesMax } from "./signals.ts";
import {
  Presence,
  answerWithinMs,
  changesEveryMs,
  changesMax,
  listsEveryMs,
  listsMax,
  presenceTopics,
  roundMs,
  stepEveryMs,
} from "./presence.ts";
import { type NodeSays, idsPerSignal, lastId } from "./presence-nodes.ts";
import { askEveryMs, asksMax, believeMs, nodesMax, peopleMax } from "./presence-people.ts";

/** Gateways that hear each other, in a time that `pass` moves; what they say to each other is kept. */
function open(t: TestContext, ...nodes: readonly string[]) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const signals = createLocalSignals();
  const told = new Map<string, string[]>();
  const said: { readonly atMs: number; readonly bytes: number; readonly says: NodeSays }[] = [];
  signals.onSignal((signal) => {
    const says = signal.data as NodeSays;
    said.push({ atMs: Date.now(), bytes: Buffer.byteLength(JSON.stringify(signal)), says });
  });
  const start = (node: string): Presence => {
    const list: string[] = [];
    told.set(node, list);
    const post = ({ topic, data }: Signal): void => {
      list.push(`${topic} ${(data as { online: boolean }).online ? "on" : "off"}`);
    };
    const gateway = new Presence({ node, signals, post, now: () => Date.now(), random: () => 0.999 });
    t.after(() => gateway.stop());
    return gateway;
  };
  /** Small steps: a mocked timer that begins within a step ends after it. */
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 50) t.mock.timers.tick(Math.min(50, ms - passed));
  };
  const say = (says: unknown): void =>
    signals.send({ topic: "gateways", name: "presence", key: "test", data: says });
  const gateways = nodes.map(start);
  if (nodes.length > 1) pass(2 * answerWithinMs);
  said.length = 0;
  return { gateways, start, pass, say, said, told: (node: string) => told.get(node) ?? [] };
}

const people = (from: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => from + i);
const onlineOf = (gateway: Presence | undefined, ids: readonly number[]): number =>
  ids.filter((id) => gateway?.isOnline(id)).length;

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
  const { gateways, told, pass } = open(t, "a", "b");
  const [a] = gateways;
  a?.arrived(7);
  a?.left(7);
  pass(4_999);
  a?.arrived(7);
  pass(20_000);
  assert.deepEqual([told("a"), told("b")], [["presence/7 on"], ["presence/7 on"]]);
  a?.left(7);
  pass(5_000);
  const both = ["presence/7 on", "presence/7 off"];
  assert.deepEqual([told("a"), told("b")], [both, both]);
});

test("of those who come and go together the first is said at once, all others in one signal", (t) => {
  const { gateways, said, pass } = open(t, "a", "b");
  const [a, b] = gateways;
  for (const id of people(1, 500)) a?.arrived(id);
  assert.deepEqual([onlineOf(b, people(1, 500)), b?.isOnline(1)], [1, true]);
  pass(changesEveryMs);
  assert.equal(onlineOf(b, people(1, 500)), 500);
  assert.equal(said.length, 2);
});

test("a gateway that stops takes its people with it by one signal, but for those who are elsewhere", (t) => {
  const { gateways, said, told, pass } = open(t, "a", "b", "c");
  const [a, b, c] = gateways;
  for (const id of people(1, 3_000)) a?.arrived(id);
  b?.arrived(3_000);
  pass(5 * changesEveryMs);
  assert.equal(onlineOf(c, people(1, 3_000)), 3_000);
  said.length = 0;
  a?.stop();
  assert.deepEqual(
    said.map(({ says }) => says),
    [{ node: "a", goes: true }],
  );
  assert.deepEqual([onlineOf(c, people(1, 3_000)), c?.isOnline(3_000)], [1, true]);
  assert.equal(told("c").filter((text) => text.endsWith("off")).length, 2_999);
});

test("what a gateway that died has said is believed for a while and then forgotten", (t) => {
  const { gateways, say, told, pass } = open(t, "a");
  const [a] = gateways;
  say({ node: "dead", came: [7] });
  pass(believeMs);
  assert.equal(a?.isOnline(7), true);
  pass(1_000);
  assert.equal(a?.isOnline(7), false);
  assert.deepEqual(told("a"), ["presence/7 on", "presence/7 off"]);
});

test("a gateway that starts knows within two seconds who is at the others, and tells nobody offline", (t) => {
  const { gateways, start, pass, told } = open(t, "a", "b");
  for (const id of people(1_000_000, 20_000)) gateways[0]?.arrived(id);
  for (const id of people(2_000_000, 20_000)) gateways[1]?.arrived(id);
  const c = start("c");
  c.arrived(7);
  pass(2_000);
  assert.equal(onlineOf(c, people(1_000_000, 20_000)), 20_000);
  assert.equal(onlineOf(c, people(2_000_000, 20_000)), 20_000);
  assert.deepEqual(
    gateways.map((gateway) => gateway.isOnline(7)),
    [true, true],
  );
  pass(3 * roundMs);
  assert.equal(onlineOf(c, people(1_000_000, 20_000)), 20_000);
  assert.deepEqual(
    told("c").filter((text) => text.endsWith("off")),
    [],
  );
});

test("20,000 people cost less than a signal a second, spread over the round, and each fits into its bytes", (t) => {
  const { gateways, said, pass } = open(t, "a", "b");
  for (const id of people(1_000_000, 20_000)) gateways[0]?.arrived(id);
  pass(10_000);
  said.length = 0;
  pass(roundMs);
  const own = said.filter(({ says }) => says.node === "a");
  const lists = own.filter(({ says }) => says.list !== undefined);
  const gaps = lists.slice(1).map(({ atMs }, i) => atMs - (lists[i]?.atMs ?? 0));
  const bytes = own.reduce((sum, signal) => sum + signal.bytes, 0);
  t.diagnostic(`${own.length} signals and ${bytes} bytes in ${roundMs} ms`);
  assert.equal(new Set(lists.flatMap(({ says }) => says.list?.ids ?? [])).size, 20_000);
  assert.ok(own.length < 30, `${own.length} signals`);
  assert.ok(bytes < 180_000, `${bytes} bytes`);
  assert.ok(Math.min(...gaps) >= 2_000 && Math.max(...gaps) <= 3_000, String(gaps));
});

test("whatever was lost on the way is mended within a round", (t) => {
  const { gateways, say, pass } = open(t, "a", "b");
  const [a, b] = gateways;
  for (const id of people(1, 3_000)) a?.arrived(id);
  pass(1_000);
  say({ node: "a", came: [4_000, lastId], left: people(100, 200) });
  assert.deepEqual([onlineOf(b, people(1, 3_000)), b?.isOnline(4_000)], [2_800, true]);
  pass(roundMs + 1_000);
  assert.deepEqual([onlineOf(b, people(1, 3_000)), b?.isOnline(4_000)], [3_000, false]);
  assert.equal(b?.isOnline(lastId), false);
});

test("an answer is so many lists in one go and not one more; the next go has the rest", (t) => {
  const { gateways, said, say, pass } = open(t, "a", "b");
  const widest = 999_999_999_999_999;
  const perList = idsPerSignal(widest);
  const ids = people(widest - listsMax * perList, listsMax * perList + 1);
  for (const id of ids) gateways[0]?.arrived(id);
  pass(1_000);
  said.length = 0;
  say({ node: "b", ask: "a" });
  // Questions before it has begun are answered by it, too.
  say({ node: "c", ask: "*" });
  const answers = () => said.filter(({ says }) => says.node === "a" && says.list !== undefined);
  pass(answerWithinMs);
  assert.equal(answers().length, listsMax);
  pass(listsEveryMs);
  assert.equal(answers().length, listsMax + 1);
  assert.deepEqual(
    answers().flatMap(({ says }) => says.list?.ids),
    ids,
  );
  for (const { bytes } of said) assert.ok(bytes <= signalBytesMax, `${bytes} bytes`);
  pass(2_000);
  assert.equal(answers().length, listsMax + 1);
});

test("a round says as many lists a step and not one more: of more people it takes longer", (t) => {
  const { gateways, said, pass } = open(t, "a", "b");
  const widest = 999_999_999_999_999;
  // In an even round one more than that would be due at each step.
  const count = (listsMax + 1) * (roundMs / stepEveryMs) * idsPerSignal(widest);
  for (const id of people(widest - count + 1, count)) gateways[0]?.arrived(id);
  said.length = 0;
  pass(stepEveryMs);
  assert.equal(said.filter(({ says }) => says.list !== undefined).length, listsMax);
});

test("whoever asks while an answer is under way is given another from the beginning", (t) => {
  const { gateways, said, say, pass } = open(t, "a", "b");
  for (const id of people(1, 10_000)) gateways[0]?.arrived(id);
  pass(1_500);
  said.length = 0;
  say({ node: "b", ask: "*" });
  pass(answerWithinMs);
  say({ node: "b", ask: "a" });
  say({ node: "b", ask: "a" });
  pass(2_000);
  const begun = said.filter(({ says }) => says.node === "a" && says.list?.after === 0);
  assert.equal(begun.length, 2);
});

test("a gateway that does not answer is asked so many times and not once more", (t) => {
  const { said, say, pass } = open(t, "a");
  say({ node: "mute" });
  // As long as it is heard of, so that it is not forgotten.
  for (let i = 0; i < 3 * asksMax; i++) {
    pass(askEveryMs);
    say({ node: "mute" });
  }
  assert.equal(said.filter(({ says }) => says.ask === "mute").length, asksMax);
});

test("a gateway whose answer has a gap is asked again, and not while it still answers", (t) => {
  const { gateways, said, say, pass } = open(t, "a");
  say({ node: "b", list: { after: 0, to: 10, ids: [1] } });
  pass(askEveryMs - 500);
  say({ node: "b", list: { after: 20, to: lastId, ids: [21] } });
  pass(1_000);
  assert.deepEqual(
    said.filter(({ says }) => says.ask === "b"),
    [],
  );
  pass(askEveryMs);
  assert.equal(said.filter(({ says }) => says.ask === "b").length, 1);
  say({ node: "b", list: { after: 10, to: lastId, ids: [21] } });
  pass(3 * askEveryMs);
  assert.equal(said.filter(({ says }) => says.ask === "b").length, 1);
  assert.deepEqual([gateways[0]?.isOnline(1), gateways[0]?.isOnline(21)], [true, true]);
});

test("a gateway that is alone asks everybody so many times, says that it is there, and nothing of its people", (t) => {
  const { start, said, pass } = open(t);
  const a = start("a");
  for (const id of people(1, 100)) a.arrived(id);
  a.left(1);
  pass(20 * askEveryMs);
  const asked = said.filter(({ says }) => says.ask === "*");
  assert.deepEqual([asked.length, said.length], [asksMax, asksMax + 4]);
  assert.ok(said.every(({ says }) => says.came === undefined && says.list === undefined));
});

test("so many changes wait and not one more; the round says the others", (t) => {
  const { gateways, said, pass } = open(t, "a", "b");
  const [a, b] = gateways;
  // The first does not wait.
  const ids = people(1, 1 + changesMax + 1);
  for (const id of ids) a?.arrived(id);
  pass(6_000);
  assert.deepEqual([onlineOf(b, ids), b?.isOnline(changesMax + 2)], [changesMax + 1, false]);
  pass(roundMs);
  assert.equal(onlineOf(b, ids), changesMax + 2);
  for (const { bytes } of said) assert.ok(bytes <= signalBytesMax, `${bytes} bytes`);
});

test("so many gateways are remembered and not one more", (t) => {
  const { gateways, say } = open(t, "a");
  for (let i = 1; i <= nodesMax + 1; i++) say({ node: `n${i}`, came: [i] });
  assert.deepEqual(
    [nodesMax, nodesMax + 1].map((id) => gateways[0]?.isOnline(id)),
    [true, false],
  );
  say({ node: "n1", goes: true });
  say({ node: `n${nodesMax + 1}`, came: [nodesMax + 1] });
  assert.equal(gateways[0]?.isOnline(nodesMax + 1), true);
});

test("so many people of others are remembered and not one more, until some of them leave", (t) => {
  const { gateways, say } = open(t, "a");
  const [a] = gateways;
  for (let i = 0; i < 10; i++) say({ node: `n${i}`, came: people(1 + (i * peopleMax) / 10, peopleMax / 10) });
  say({ node: "n0", came: [peopleMax + 1] });
  assert.deepEqual(
    [peopleMax, peopleMax + 1].map((id) => a?.isOnline(id)),
    [true, false],
  );
  say({ node: "n1", goes: true });
  say({ node: "n0", came: [peopleMax + 1], left: [1] });
  assert.deepEqual(
    [1, peopleMax, peopleMax + 1].map((id) => a?.isOnline(id)),
    [false, true, true],
  );
});

test("what gateways of other versions say is ignored where it is not understood", (t) => {
  const { gateways, say, told } = open(t, "a");
  const odd: readonly unknown[] = [
    undefined,
    null,
    7,
    "x",
    [],
    {},
    { node: 7, came: [7] },
    { node: "b", userId: 7, online: true },
    { node: "b", came: 7, left: { 0: 7 }, list: [7], ask: {}, goes: "no" },
    { node: "b", came: ["7"], left: [null] },
    { node: "b", list: { after: 0, to: "9", ids: [7] } },
    { node: "b", list: { after: 0, to: 9, ids: [7.5] } },
    { node: "b", list: null, later: { of: "more" } },
  ];
  for (const says of odd) say(says);
  assert.deepEqual(told("a"), []);
  say({ node: "b", came: [7], later: 1 });
  assert.equal(gateways[0]?.isOnline(7), true);
});

test("a gateway that has stopped says and hears nothing more", (t) => {
  const { gateways, said, say, pass } = open(t, "a", "b");
  const [a] = gateways;
  for (const id of people(1, 100)) a?.arrived(id);
  a?.stop();
  said.length = 0;
  say({ node: "b", ask: "a", came: [500] });
  a?.arrived(501);
  pass(roundMs);
  assert.deepEqual(
    said.filter(({ says }) => says.node === "a"),
    [],
  );
  assert.equal(a?.isOnline(500), false);
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
