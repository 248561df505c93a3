import { uuidv7 } from "../../protocol/ids.ts";
import { topics } from "../../protocol/topics.ts";
import { type NewEntry, jsonText } from "../../src/eventlog/eventlog.ts";
import type { DbAddress } from "../../src/lib/db.ts";
import { openLog } from "../eventlog/tidings-log.ts";
import { paced } from "../harness/paced.ts";
import { quantile } from "../harness/spread.ts";
import { type Load, type LoadResult, placeOf } from "./load.ts";
import { joinedBy, messageIn } from "./messages.ts";
import { obeyLoads } from "./sending-process.ts";

/** Appends entries as the server's modules do, each with a call of its own: durable, then read by the gateway. */
const { eventlog } = await openLog(JSON.parse(process.argv[2] ?? "") as DbAddress);

async function send(load: Load): Promise<LoadResult> {
  const appends: Promise<unknown>[] = [];
  const durableMs: number[] = [];
  let failed = 0;
  const append = async (entry: NewEntry): Promise<void> => {
    const begunAt = performance.now();
    try {
      await eventlog.append([entry]);
      durableMs.push(performance.now() - begunAt);
    } catch {
      failed++;
    }
  };
  const result = await paced(load, (index, dueNs) => {
    appends.push(append(entryOf(load, index, dueNs)));
  });
  await Promise.all(appends);
  return { ...result, failed, durableP50: quantile(Float64Array.from(durableMs).sort(), 0.5) };
}

function entryOf(load: Load, index: number, dueNs: bigint): NewEntry {
  const { id, number } = placeOf(load, index);
  const base = { id: uuidv7(), actor: "user:1" };
  if (load.to === "people") {
    return {
      ...base,
      topic: topics.user(id),
      type: "room.joined",
      data: jsonText(joinedBy(id, number, dueNs)),
    };
  }
  const data = jsonText(messageIn(id, number, dueNs));
  return { ...base, topic: topics.room(id), type: "message.created", data };
}

obeyLoads(0, send);
