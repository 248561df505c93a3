import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { type GroupFigures, exposeGroups } from "./group-metrics.ts";

const state = { partition: 3, lagEntries: 5, lagSeconds: 2, stopped: undefined };
const inbox: GroupFigures = { group: "inbox", lagEntries: 5, lagSeconds: 2, partitions: [state] };

function linesOf(page: string): readonly string[] {
  return page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

test("a database that does not answer leaves the last figures, and is not asked again on top of that", async () => {
  const registry = new Registry();
  const never = Promise.withResolvers<readonly GroupFigures[]>();
  let reads = 0;
  exposeGroups(registry, () => (++reads === 1 ? Promise.resolve([inbox]) : never.promise), 10);
  const before = linesOf(await registry.metrics());
  assert.equal(before.length, 4);
  assert.deepEqual(linesOf(await registry.metrics()), before);
  assert.deepEqual(linesOf(await registry.metrics()), before);
  assert.equal(reads, 2);
  never.resolve([]);
});

test("one look at the page reads the groups once and shows what they are now", async () => {
  const registry = new Registry();
  let groups: readonly GroupFigures[] | undefined = [inbox];
  let reads = 0;
  exposeGroups(registry, () => {
    reads++;
    return Promise.resolve(groups);
  });
  const moving = [
    'eventlog_group_lag_seconds{group="inbox"} 2',
    'eventlog_group_lag_entries{group="inbox"} 5',
    'eventlog_partition_lag_seconds{group="inbox",partition="3"} 2',
    'eventlog_partition_lag_entries{group="inbox",partition="3"} 5',
  ];
  assert.deepEqual(linesOf(await registry.metrics()), moving);
  assert.equal(reads, 1);

  groups = [{ ...inbox, partitions: [{ ...state, stopped: "full" }] }];
  const stopped = 'eventlog_partition_stopped{group="inbox",partition="3",reason="full"} 1';
  assert.deepEqual(linesOf(await registry.metrics()), [...moving, stopped]);

  groups = undefined;
  assert.deepEqual(linesOf(await registry.metrics()), [...moving, stopped], "the last figures stay");
  groups = [inbox];
  assert.deepEqual(linesOf(await registry.metrics()), moving);
});
