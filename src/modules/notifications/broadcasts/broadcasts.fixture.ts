import { topics } from "../../../../protocol/topics.ts";
import type { Entry } from "../../../eventlog/eventlog.ts";
import { partitionOf } from "../../../eventlog/murmur2.ts";
import { type Broadcasts, createBroadcasts } from "./broadcasts.ts";
import { type Stage, openStage } from "../notifications.fixture.ts";
import { createPostgresStore } from "../postgres-store.ts";

export type BroadcastStage = Stage & {
  readonly broadcasts: Broadcasts;
  /** Tells everybody something, right in every way; resolves with its id. */
  readonly tell: (parts?: Partial<Parameters<Broadcasts["tell"]>[0]>) => Promise<string>;
  /** What the log holds for everybody, in order. */
  readonly toldAll: () => Promise<readonly Entry[]>;
};

/** A store, and broadcasts beside it: of the same database, by the same clock. */
export async function openBroadcastStage(): Promise<BroadcastStage> {
  const stage = await openStage((deps) => createPostgresStore(deps));
  const notificationTtls = { defaultS: 900, bySource: new Map([["brief", 1]]) };
  const broadcasts = createBroadcasts({ ...stage, config: { notificationTtls } });
  return {
    ...stage,
    broadcasts,
    tell: async (parts = {}) => {
      const { accepted } = await broadcasts.tell({
        message: "Hello",
        source: "test",
        actor: "key:1",
        ...parts,
      });
      return accepted.broadcast_id;
    },
    toldAll: async () => {
      const topic = topics.everybody();
      const { eventlog } = stage;
      const { entries } = await eventlog.read(partitionOf(topic, eventlog.partitions), 0, 10_000);
      return entries.filter((entry) => entry.topic === topic);
    },
  };
}
