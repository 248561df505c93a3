import assert from "node:assert/strict";
import { test } from "node:test";
import { noticeBytesMax, noticesOf, signalsOf } from "./signals-postgres.ts";
import { type Signal, createLocalSignals, signalBytesMax } from "./signals.ts";

const signal = (key: string): Signal => ({ topic: "room/1", name: "typing", key, data: { on: true } });

test("whoever listens hears every signal, until they no longer listen", async () => {
  const signals = createLocalSignals();
  const heard: string[] = [];
  const stop = signals.onSignal(({ key }) => heard.push(key));
  signals.send(signal("1"));
  stop();
  signals.send(signal("2"));
  assert.deepEqual(heard, ["1"]);
  await signals.close();
});

test("notices hold as many signals as fit into their bytes, and one more begins the next", () => {
  const one = JSON.stringify("x".repeat(28));
  assert.deepEqual(noticesOf([one, one, one], 2 + 31 * 3).length, 1);
  assert.deepEqual(
    noticesOf([one, one, one], 2 + 31 * 3 - 1).map((text) => JSON.parse(text).length),
    [2, 1],
  );
  assert.deepEqual(noticesOf([], 100), []);
});

test("a signal that is larger than a notice is left out, the others go", () => {
  const large = JSON.stringify("ж".repeat(60));
  const small = JSON.stringify("a");
  assert.deepEqual(noticesOf([small, large, small], 100), [`[${small},${small}]`]);
});

test("a signal of the largest size fits into a notice beside the name of its process", () => {
  const largest = `"${"x".repeat(signalBytesMax - 2)}"`;
  const node = "01a1fecb-444a-7000-91af-00000000000a ";
  assert.deepEqual(noticesOf([largest], noticeBytesMax - node.length), [`[${largest}]`]);
});

test("what is no signal is left out of what was heard, whoever said it", () => {
  for (const notice of ["", "x", "7", "null", "{}", '"[]"', "[", '[{"topic":"room/1"}]', "[null,7,[]]"]) {
    assert.deepEqual(signalsOf(notice), [], notice);
  }
  const known = signal("1");
  assert.deepEqual(signalsOf(JSON.stringify([{ kind: "new" }, known])), [known]);
});
