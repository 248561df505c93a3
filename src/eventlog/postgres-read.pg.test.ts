import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/harness.ts";
import { PositionExpiredError } from "./eventlog.ts";
import { newEntry } from "./eventlog.contract.ts";
import { openLog } from "./postgres.fixture.ts";
import { readPlacesMax } from "./postgres-read.ts";

/** One entry in each partition that the topics happen to meet, read by a log that did not append it. */
async function filled() {
  const db = await openTestDatabase();
  const [writer, reader] = [await openLog(db), await openLog(db)];
  await writer.append(Array.from({ length: 400 }, (_, i) => newEntry(`room/${i}`, `m${i}`)));
  const heads = await reader.heads();
  assert.ok(heads.every((head) => head > 1));
  return { db, reader, heads };
}

test("reads that are asked for at once are each answered as if alone, also when they are more than one statement takes", async () => {
  const { reader, heads } = await filled();
  const places = Array.from({ length: readPlacesMax + 1 }, (_, i) => {
    const partition = i % heads.length;
    return { partition, after: (i * 7) % ((heads[partition] ?? 0) + 1), limit: 1 + (i % 5) };
  });
  const alone: unknown[] = [];
  for (const { partition, after, limit } of places) alone.push(await reader.read(partition, after, limit));
  const together = await Promise.all(
    places.map(({ partition, after, limit }) => reader.read(partition, after, limit)),
  );
  assert.deepEqual(together, alone);
  for (const [i, { entries, end }] of together.entries()) {
    const { partition, after, limit } = places[i] ?? { partition: 0, after: 0, limit: 0 };
    const head = heads[partition] ?? 0;
    assert.deepEqual(
      entries.map(({ offset }) => offset),
      Array.from({ length: Math.min(limit, head - after) }, (_, n) => after + 1 + n),
    );
    assert.equal(end, Math.min(after + limit, head));
  }
});

test("of reads that are asked for at once, one of what retention has removed is refused alone", async () => {
  const { db, reader, heads } = await filled();
  await db.query("update eventlog_segment set first_offset = 2 where part = 3");
  const results = await Promise.allSettled(heads.map((_, partition) => reader.read(partition, 0, 1)));
  for (const [partition, result] of results.entries()) {
    if (partition === 3)
      assert.ok(result.status === "rejected" && result.reason instanceof PositionExpiredError);
    else assert.equal(result.status, "fulfilled");
  }
});

test("a partition that cannot be read does not stop the reads of others that were asked for with it", async () => {
  const { db, reader, heads } = await filled();
  // No number of JavaScript's holds it.
  await db.query(
    "update eventlog_entry set entry_offset = 9007199254740993 where part = 5 and entry_offset = 1",
  );
  const results = await Promise.allSettled(heads.map((_, partition) => reader.read(partition, 0, 1_000)));
  for (const [partition, result] of results.entries()) {
    if (partition === 5) assert.ok(result.status === "rejected" && result.reason instanceof RangeError);
    else assert.ok(result.status === "fulfilled" && result.value.entries.length === heads[partition]);
  }
});
