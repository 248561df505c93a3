import { openTestDatabase, testLog } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import { testFaultsContract } from "./consumer-faults.contract.ts";
import { testFailuresContract } from "./consumer-failures.contract.ts";
import { testLimitsContract } from "./consumer-limits.contract.ts";
import { testConsumerContract } from "./consumer.contract.ts";
import type { ConsumersUnderTest } from "./consumer.fixture.ts";
import { MemoryEventLog } from "./memory.ts";
import { openPostgresEventLog } from "./postgres.ts";

async function openPostgres(): Promise<ConsumersUnderTest> {
  const db = await openTestDatabase();
  const log = await openPostgresEventLog(db, {
    partitions: 16,
    queueEntriesMax: 20_000,
    appendTimeoutMs: 5_000,
    notify: true,
    retention: { openAfterMs: 0, openAfterEntries: 1, keepMs: -60_000, keepMaxMs: -60_000 },
    clock: systemClock,
    log: testLog,
  });
  return { log, db, expireAll: () => log.maintain() };
}

/** A log outside the database, checkpoints inside: the shape of the Kafka driver. */
async function openMemory(): Promise<ConsumersUnderTest> {
  const db = await openTestDatabase();
  const log = new MemoryEventLog({ partitions: 16, clock: systemClock });
  const expireAll = async (): Promise<void> => {
    for (const [partition, head] of (await log.heads()).entries()) log.expire(partition, head);
  };
  return { log, db, expireAll };
}

for (const [driver, open] of [
  ["postgres", openPostgres],
  ["memory", openMemory],
] as const) {
  testConsumerContract(driver, open);
  testFailuresContract(driver, open);
  testFaultsContract(driver, open);
  testLimitsContract(driver, open);
}
