import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { AppError } from "../lib/errors.ts";
import { type LogUnderTest, newEntry, readAll } from "./eventlog.contract.ts";
import { type RedactedData, batchBytesMax, parseData, redactedType } from "./eventlog.ts";
import { partitionOf } from "./murmur2.ts";
import { redactIdsMax } from "./redaction.ts";

/** What a log's readers are told of erased entries, and how much they are given at once: for each driver, as the rest. */
export function testReadersContract(driver: string, open: () => Promise<LogUnderTest>): void {
  test(`${driver}: readers are told of an erased entry that the log no longer holds, when its topic is given`, async () => {
    const { log, expireAll } = await open();
    const [gone, there, never] = [newEntry("room/1", "gone"), newEntry("room/1", "there"), uuidv7()];
    await log.append([gone]);
    await expireAll();
    await log.append([there]);
    const targets = [
      gone,
      there,
      { id: never, topic: "room/2" },
      uuidv7(),
      gone.id,
      { id: gone.id, topic: gone.topic },
    ];
    assert.equal(await log.redact(targets, "erasure"), 1);
    const notices = (await readAll(log)).filter(({ type }) => type === redactedType);
    const named = notices.map((notice) => [
      notice.topic,
      parseData<RedactedData>(notice).entry_ids.toSorted(),
    ]);
    assert.deepEqual(Object.fromEntries(named), {
      "room/1": [gone.id, there.id].toSorted(),
      "room/2": [never],
    });
    // Whoever was not told the first time is told by a repetition.
    assert.equal(await log.redact([gone], "again"), 0);
    assert.equal((await readAll(log)).filter(({ type }) => type === redactedType).length, 3);
  });

  test(`${driver}: a redaction of what no entry could be is refused, and nothing of it is done`, async () => {
    const { log } = await open();
    const [there, late] = [newEntry("room/1", "there"), newEntry("room/1", "late")];
    await log.append([there]);
    const refused = [
      { target: { id: uuidv7(), topic: "x".repeat(limits.topicLength + 1) }, pointer: "/1002/topic" },
      { target: "no-uuid", pointer: "/1002/id" },
    ];
    const others = Array.from({ length: redactIdsMax }, () => uuidv7());
    for (const { target, pointer } of refused) {
      await assert.rejects(
        log.redact([there.id, late.id, ...others, target], "erasure"),
        (error) => error instanceof AppError && error.details.fields?.[0]?.pointer === pointer,
      );
    }
    const reason = "x".repeat(limits.entryDataBytes);
    await assert.rejects(log.redact([there.id, late.id], reason), AppError);
    await log.append([late]);
    const stored = await readAll(log);
    assert.deepEqual(
      stored.map(({ data }) => data),
      [there.data, late.data],
    );
  });

  test(`${driver}: an id in capital letters is the same id, and told once`, async () => {
    const { log } = await open();
    const secret = newEntry("room/1", "secret");
    await log.append([secret]);
    const targets = [
      { id: secret.id.toUpperCase(), topic: "room/1" },
      { id: secret.id, topic: "room/1" },
    ];
    assert.equal(await log.redact(targets, "erasure"), 1);
    const notice = (await readAll(log)).find(({ type }) => type === redactedType);
    assert.ok(notice !== undefined);
    assert.deepEqual(parseData<RedactedData>(notice).entry_ids, [secret.id]);
  });

  for (const follower of [false, true]) {
    test(`${driver}: a read carries as many bytes as it may, not one more, and one entry however large${follower ? ", to a follower too" : ""}`, async () => {
      const { log } = await open();
      if (follower) log.onGrowth(() => undefined);
      const partition = partitionOf("room/1", log.partitions);
      // Three bytes of UTF-8 for each character, and two quotation marks.
      await log.append(Array.from({ length: 4 }, () => newEntry("room/1", "語".repeat(100))));
      const count = async (after: number, bytesMax: number): Promise<readonly number[]> => {
        const { entries, end } = await log.read(partition, after, 10, bytesMax);
        assert.equal(end, entries.length + after);
        return entries.map(({ offset }) => offset);
      };
      assert.deepEqual(await count(0, 2 * 302), [1, 2]);
      assert.deepEqual(await count(0, 2 * 302 - 1), [1]);
      assert.deepEqual(await count(1, 2 * 302 + 1), [2, 3]);
      assert.deepEqual(await count(2, 1), [3]);
      assert.deepEqual(await count(2, 2 * 302), [3, 4]);
    });
  }

  test(`${driver}: a read that names no bound has one`, async () => {
    const { log } = await open();
    const large = "x".repeat(limits.entryDataBytes - 2);
    const fitting = batchBytesMax / limits.entryDataBytes;
    await log.append(Array.from({ length: fitting + 1 }, () => newEntry("room/1", large)));
    const { entries, end } = await log.read(partitionOf("room/1", log.partitions), 0, 1_000);
    assert.deepEqual([entries.length, end], [fitting, fitting]);
  });
}
