import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../protocol/ids.ts";
import { type JsonText, type NewEntry } from "../../src/eventlog/eventlog.ts";
import { parsePosition } from "../../src/eventlog/position.ts";
import { openDb } from "../../src/lib/db.ts";
import { createTestDatabase, testLog } from "../harness.ts";
import { type Fate, startCuttingProxy } from "./cutting-proxy.ts";
import { openEventLog } from "./logs.ts";

const calls = 120;
const entriesMax = 5;
const seed = Number(process.env["SEED"] ?? 20_261_121);

/** Mulberry32: small, and the same everywhere for the same seed. */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function newEntry(chain: number): NewEntry {
  return {
    id: uuidv7(),
    topic: `room/${chain}`,
    type: "test.happened",
    actor: "system",
    data: "{}" as JsonText,
  };
}

test("appends whose connection breaks before or after the commit are stored once, where the caller is told", async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const address = await createTestDatabase(t);
  const fates: Record<Fate, number> = { answered: 0, lost: 0, unanswered: 0 };
  await using proxy = await startCuttingProxy(address, (sent) => {
    if (!sent.includes("eventlog_append")) return "answered";
    const dice = random();
    const fate: Fate = dice < 0.6 ? "answered" : dice < 0.8 ? "lost" : "unanswered";
    fates[fate]++;
    return fate;
  });
  const db = openDb(proxy.address, { poolMax: 2, log: testLog });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => db.close());
  const log = await openEventLog(db);
  stack.defer(() => log.close());

  const told = new Map<string, string>();
  const chains = Array.from({ length: 4 }, async (_, chain) => {
    for (let call = 0; call < calls / 4; call++) {
      const entries = Array.from({ length: 1 + Math.floor(random() * entriesMax) }, () => newEntry(chain));
      const positions = await log.append(entries);
      for (const [i, { id }] of entries.entries()) told.set(id, String(positions[i]));
    }
  });
  await Promise.all(chains);

  const { rows } = await db.query<{ id: string; part: number; offset: number }>(
    `select id, part, entry_offset as "offset" from eventlog_entry order by part, entry_offset`,
  );
  assert.equal(rows.length, told.size);
  for (const { id, part, offset } of rows) {
    const position = parsePosition(told.get(id) ?? "");
    assert.deepEqual([position.partition, position.offset], [part, offset]);
  }
  t.diagnostic(`${told.size} entries; appends ${JSON.stringify(fates)}`);
  assert.ok(fates.lost > 5 && fates.unanswered > 5, "the proxy has hardly cut anything");
});
