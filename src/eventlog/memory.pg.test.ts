import { openTestDatabase } from "../../test/harness.ts";
import { systemClock } from "../lib/clock.ts";
import { testEventLogContract } from "./eventlog.contract.ts";
import { testReadersContract } from "./eventlog-readers.contract.ts";
import { MemoryEventLog } from "./memory.ts";

// PostgreSQL only lends its transactions here: a log outside the database publishes after their commit.
const db = await openTestDatabase();

for (const testContract of [testEventLogContract, testReadersContract])
  testContract("memory", () => {
    const log = new MemoryEventLog({ partitions: 16, clock: systemClock });
    const expireAll = async (): Promise<void> => {
      for (const [partition, head] of (await log.heads()).entries()) log.expire(partition, head);
    };
    return Promise.resolve({ log, db, expireAll });
  });
