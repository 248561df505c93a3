import assert from "node:assert/strict";
import { test } from "node:test";
import { OwnedPartitions, moved } from "./runner-partitions.ts";

const lease = (checkpoint: number, epoch = 1) => ({ group: "tally", partition: 3, epoch, checkpoint });

/** Owns a partition from offset 5 on, and has committed up to 10 since. */
function openOwned() {
  const owned = new OwnedPartitions();
  void owned.sync([lease(5)]);
  owned.takeOver();
  const commit = (to: number): void => {
    const one = owned.get(3);
    assert.ok(one !== undefined);
    moved(one, to);
  };
  commit(10);
  return { owned, commit, checkpoint: () => owned.get(3)?.checkpoint };
}

test("what is older than the last commit is no news: the leases were asked for before it", () => {
  const { owned, commit, checkpoint } = openOwned();
  for (const [heard, before] of [
    [5, 10],
    [10, 20],
  ] as const) {
    commit(before);
    void owned.sync([lease(heard)]);
    assert.deepEqual([owned.takeOver(), checkpoint()], [[], before]);
  }
});

test("a checkpoint that has gone back under the same epoch is where the work begins anew, once", () => {
  const { owned, commit, checkpoint } = openOwned();
  void owned.sync([lease(10)]);
  owned.takeOver();
  // Two answers may come while one batch is under way.
  void owned.sync([lease(5)]);
  void owned.sync([lease(5)]);
  assert.deepEqual([owned.takeOver(), checkpoint()], [[3], 5]);
  commit(7);
  void owned.sync([lease(6)]);
  assert.deepEqual([owned.takeOver(), checkpoint()], [[], 7]);
});

test("another epoch begins where its lease says, whatever was committed under the one before", () => {
  const { owned, checkpoint } = openOwned();
  void owned.sync([lease(10)]);
  void owned.sync([lease(0, 2)]);
  assert.deepEqual([owned.takeOver(), checkpoint()], [[3], 0]);
});
