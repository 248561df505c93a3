import assert from "node:assert/strict";
import { test } from "node:test";
import { closeRules } from "../../protocol/close-codes.ts";
import { openStuck as open } from "./connection.fixture.ts";
import { closeTextBytesMax, keptSignalsMax, unsentBytesMax } from "./connection.ts";

test("a client may leave so many bytes and not one more", () => {
  const { connection } = open();
  connection.write(Buffer.alloc(unsentBytesMax));
  assert.equal(connection.full, false);
  connection.write(Buffer.alloc(1));
  assert.equal(connection.full, true);
});

test("whoever takes nothing is not listened to until they have taken everything", () => {
  const { link, connection, rooms } = open();
  connection.write(Buffer.alloc(unsentBytesMax + 1));
  connection.lag();
  connection.lag();
  assert.deepEqual([link.reading, rooms()], [false, 0]);
  link.drain();
  assert.deepEqual([link.reading, rooms(), connection.fullSinceMs], [true, 1, undefined]);
});

test("of the signals for whoever takes nothing the newest of each key are kept, up to the bound", () => {
  const { link, connection } = open();
  connection.write(Buffer.alloc(unsentBytesMax + 1));
  for (let i = 0; i <= keptSignalsMax; i++) connection.signal(String(i), Buffer.from(`${i} old`));
  connection.signal("5", Buffer.from("5 new"));
  link.written.length = 0;
  link.drain();
  const kept = link.written.map(String);
  assert.equal(kept.length, keptSignalsMax);
  assert.ok(!kept.includes("0 old"), "the oldest has gone");
  assert.deepEqual([kept[0], kept.at(-1)], ["1 old", "5 new"]);
});

test("a client that takes nothing is told why it is closed, and listened to, so that its answer is heard", () => {
  const { link, connection } = open();
  connection.write(Buffer.alloc(unsentBytesMax + 1));
  connection.lag();
  assert.equal(link.reading, false);
  connection.close("slow_reader");
  assert.deepEqual([link.ended, link.reading], ["4104", true]);
});

test("what a client is told of its end is cut between two characters where a close frame cannot carry it", () => {
  const said = (detail: string | undefined): string | undefined => {
    const { link, connection } = open();
    connection.close("forbidden", detail);
    return link.said;
  };
  assert.equal(said(undefined), closeRules.forbidden.meaning);
  const longest = `${"ж".repeat(61)}.`;
  assert.equal(Buffer.byteLength(longest), closeTextBytesMax);
  assert.equal(said(longest), longest);
  assert.equal(said(`${longest}.`), `${"ж".repeat(60)}…`);
  assert.equal(said("🙂".repeat(31)), `${"🙂".repeat(30)}…`);
});

test("nothing is written to whoever is gone", () => {
  const { link, connection, rooms } = open();
  connection.write(Buffer.alloc(unsentBytesMax + 1));
  connection.lag();
  connection.close("draining");
  connection.write(Buffer.from("more"));
  link.drain();
  assert.deepEqual([link.written.length, rooms()], [1, 0]);
});

test("who has more to say waits until the client has taken what it was sent, or is gone", async () => {
  for (const end of ["drain", "close", "leave"] as const) {
    const { link, connection } = open();
    await connection.room();
    connection.write(Buffer.alloc(unsentBytesMax + 1));
    let waits = true;
    const room = connection.room().then(() => (waits = false));
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(waits, end);
    if (end === "drain") link.drain();
    else if (end === "close") connection.close("draining");
    else connection.leave();
    await room;
    await connection.room();
  }
});
