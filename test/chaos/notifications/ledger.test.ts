import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "./ledger.ts";

/** A person, and one who wants digests; both were sent these texts. */
function open(...texts: readonly string[]) {
  const ledger = new Ledger();
  ledger.add(1, { hasDigests: false });
  ledger.add(2, { hasDigests: true });
  for (const text of texts) ledger.send(text, [1, 2]);
  const due = (userId: number): readonly string[] => ledger.due(userId, Infinity).map(({ id }) => id);
  const hear = (id: string, text: string, n: number) => ledger.hear(1, { id, text, place: [n, 0] });
  return { ledger, due, hear };
}

test("what was accepted is due until a device says that it is read, by its name or with all before it", () => {
  const { ledger, due, hear } = open("lasting 1", "lasting 2", "lasting 3");
  for (const n of [1, 2, 3]) ledger.accept(1, `n${n}`, `lasting ${n}`, false);
  for (const n of [1, 2, 3]) hear(`n${n}`, `lasting ${n}`, n);
  assert.deepEqual(due(1), ["n1", "n2", "n3"]);
  ledger.sayRead(1, ["n3"]);
  ledger.sayAllRead(1, [1, 0]);
  assert.deepEqual(due(1), ["n2"]);
  ledger.ackUpTo(1, [1, 0]);
  assert.notEqual(ledger.of(1).told.get("n1")?.ackedMs, undefined);
  assert.deepEqual(ledger.faults, []);
});

test("what is held is due when a device has heard it, and in quiet hours none may", () => {
  const { ledger, due, hear } = open("lasting 1", "lasting 2");
  for (const n of [1, 2]) ledger.accept(1, `n${n}`, `lasting ${n}`, true);
  assert.deepEqual(due(1), []);
  hear("n1", "lasting 1", 1);
  assert.match(ledger.faults.splice(0).join(), /in their quiet hours/);
  ledger.of(1).liftedMs = Infinity;
  hear("n2", "lasting 2", 2);
  assert.deepEqual([due(1), ledger.faults], [["n1", "n2"], []]);
});

test("what is brief and was held ends so long after it was told", () => {
  const { ledger, hear } = open("brief 1", "brief 2");
  for (const [n, held] of [
    [1, true],
    [2, false],
  ] as const) {
    ledger.accept(1, `n${n}`, `brief ${n}`, held);
    const told = ledger.of(1).told.get(`n${n}`);
    assert.ok(told !== undefined);
    told.endsAt = 7;
    ledger.of(1).liftedMs = Infinity;
    hear(`n${n}`, `brief ${n}`, n);
    assert.equal(told.endsAt > Date.now(), held);
  }
});

test("a digest stands for as many as were accepted into it", () => {
  const { ledger, due } = open("bulletin 1", "bulletin 2");
  for (const text of ["bulletin 1", "bulletin 2"]) ledger.accept(2, "d", text, true);
  assert.deepEqual([due(2), ledger.of(2).digests.get("d")], [[], 2]);
  ledger.hear(2, { id: "d", text: "bulletin 1\nbulletin 2", place: [1, 0] });
  assert.deepEqual([due(2), ledger.faults], [["d"], []]);
});

test("what was never sent, comes in two places or is read by nobody is a fault", () => {
  const { ledger, hear } = open("lasting 1");
  hear("n1", "lasting 1", 1);
  hear("n1", "lasting 1", 2);
  hear("n2", "lasting 2", 3);
  ledger.ack(hear("n1", "lasting 1", 2));
  assert.deepEqual(ledger.faults, [
    "n1 was told in two places",
    '1 was told "lasting 2", never sent',
    "1 heard that n1 is read, which nobody said",
  ]);
});
