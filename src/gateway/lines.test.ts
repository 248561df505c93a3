import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "./delivery.fixture.ts";
import { Lines } from "./lines.ts";

/** Work that ends when the test says so; `begun` and `ended` are the names of what has, in order. */
function openWork() {
  const lines = new Lines<object>();
  const begun: string[] = [];
  const ended: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const add = (key: object, name: string): Promise<string> => {
    const end = Promise.withResolvers<string>();
    ends.set(name, end);
    const done = lines.add(key, () => {
      begun.push(name);
      return end.promise;
    });
    done.then(
      () => ended.push(name),
      () => ended.push(`${name} failed`),
    );
    return done;
  };
  const end = async (name: string, error?: Error): Promise<void> => {
    if (error === undefined) ends.get(name)?.resolve(name);
    else ends.get(name)?.reject(error);
    await settled();
  };
  return { add, end, begun, ended };
}

test("work of one key is done one after the other, in the order in which it was asked for", async () => {
  const { add, end, begun, ended } = openWork();
  const key = {};
  const all = ["a", "b", "c"].map((name) => add(key, name));
  await end("c");
  await end("b");
  assert.deepEqual([begun, ended], [["a"], []]);
  await end("a");
  assert.deepEqual(
    [begun, ended],
    [
      ["a", "b", "c"],
      ["a", "b", "c"],
    ],
  );
  assert.deepEqual(await Promise.all(all), ["a", "b", "c"], "each is told what became of its own");
});

test("work that fails is told to whoever asked, and does not stop the line", async () => {
  const { add, end, begun, ended } = openWork();
  const key = {};
  const [first, second] = [add(key, "a"), add(key, "b")];
  const failed = assert.rejects(first, { message: "no" });
  await end("a", new Error("no"));
  await failed;
  await end("b");
  assert.equal(await second, "b");
  assert.deepEqual(
    [begun, ended],
    [
      ["a", "b"],
      ["a failed", "b"],
    ],
  );
});

test("keys do not wait for each other", async () => {
  const { add, end, begun, ended } = openWork();
  const [one, other] = [{}, {}];
  void add(one, "a");
  void add(other, "b");
  await end("b");
  assert.deepEqual([begun, ended], [["a", "b"], ["b"]]);
});

test("when all of a key is done nothing of it is kept: what comes then is begun at once", async () => {
  const { add, end, begun } = openWork();
  const key = {};
  void add(key, "a");
  void add(key, "b");
  await end("a");
  void add(key, "c");
  assert.deepEqual(begun, ["a", "b"], "it waits while something is under way");
  await end("b");
  await end("c");
  void add(key, "d");
  assert.deepEqual(begun, ["a", "b", "c", "d"]);
  await end("d");
  const failing = add(key, "e");
  const failed = assert.rejects(failing);
  await end("e", new Error("no"));
  await failed;
  void add(key, "f");
  assert.equal(begun.at(-1), "f");
});
