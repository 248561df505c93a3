import type { BroadcastList, NewBroadcast } from "../../../../protocol/broadcasts.ts";
import type { Deps } from "../../../deps.ts";
import { Batcher } from "../../../lib/batcher.ts";
import { expireBroadcasts, withdrawBroadcast } from "./end.ts";
import { wordingOf } from "../wording.ts";
import { type BroadcastAnswer, saveBroadcast } from "./save.ts";
import { listBroadcasts, listLiving } from "./views.ts";

/** Lists that one look serves, and that may wait for theirs. */
export const batchListsMax = 100;
export const queueListsMax = 10_000;
const timeoutMs = 30_000;
/** The first is asked at once; those of a crowd share a look. */
const spacingMs = 5;

/** What everybody is told, until it ends: one row, however many they are, and what people did with it on their own rows. */
export type Broadcasts = {
  /**
   * Resolves when it is durable. Throws `conflict` when as many live as may, `idempotency_mismatch`, `request_in_flight`,
   * `invalid_body` for a day that no calendar has.
   */
  tell(
    broadcast: NewBroadcast & { readonly actor: string; readonly key?: string | undefined },
  ): Promise<BroadcastAnswer>;
  /** Ends one before its time. Resolves with whether it was there: one that nobody knows is no fault. */
  withdraw(id: string, actor: string): Promise<boolean>;
  /** What lives, as this person has it. Thousands come back at once after a restart: lists are read together. */
  list(userId: number): Promise<BroadcastList>;
  /** All that lives, for programs: as somebody has it who has marked none and turned nothing off. */
  listAll(): Promise<BroadcastList>;
  /** Removes what has ended, and tells of it. Resolves with how many. */
  expire(signal: AbortSignal): Promise<number>;
};

type BroadcastsDeps = Pick<Deps, "db" | "eventlog" | "clock"> & {
  readonly config: Pick<Deps["config"], "notificationTtls">;
};

export function createBroadcasts(deps: BroadcastsDeps): Broadcasts {
  const { config, db, eventlog, clock } = deps;
  const batcher = new Batcher<number, BroadcastList>({
    lanes: 1,
    batchItemsMax: batchListsMax,
    batchBytesMax: Number.MAX_SAFE_INTEGER,
    queueItemsMax: queueListsMax,
    queueBytesMax: Number.MAX_SAFE_INTEGER,
    timeoutMs,
    spacingMs,
    now: () => performance.now(),
    what: "people who ask what everybody is told",
    work: (userIds) => listBroadcasts(db, userIds, clock.now()),
  });
  return {
    tell: async ({ actor, key, ...body }) =>
      saveBroadcast(deps, wordingOf(body, { actor, key, toWhom: "everybody" }, config.notificationTtls)),
    withdraw: (id, actor) => withdrawBroadcast({ db, eventlog }, id, actor),
    list: (userId) => batcher.add(userId),
    listAll: () => listLiving(db, clock.now()),
    expire: (signal) => expireBroadcasts(deps, signal),
  };
}
