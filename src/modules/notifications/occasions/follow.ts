import type { Deps } from "../../../deps.ts";
import { topics } from "../../../../protocol/topics.ts";
import type { Consumer } from "../../../eventlog/consumer.ts";
import {
  type Entry,
  type EventLog,
  type NewEntry,
  type RedactedData,
  parseData,
  redactedType,
} from "../../../eventlog/eventlog.ts";
import type { Db, Tx } from "../../../lib/db.ts";
import type { NotifyRequest } from "../decide-notify.ts";
import { rewriteDigests } from "./rewrite-digests.ts";
import { type Quote, dropHeld, findQuotes, forgetOrigins, rememberOrigins } from "./origins.ts";
import { type Caused, requestsFor } from "./requests.ts";
import { type OccasionRow, occasionRows } from "./occasions.ts";
import type { People } from "../people.ts";
import { saveNotifyIn } from "../save-notify.ts";

/** Entries of one transaction, most of which tell nobody anything; of each some 20 people may be told. */
export const batchMax = 200;

type FollowDeps = Pick<Deps, "clock" | "config" | "metrics" | "log"> & {
  readonly db: Pick<Db, "transaction">;
  readonly eventlog: Pick<EventLog, "appendIn" | "redact">;
  readonly people: People;
};

/**
 * Tells people what happens elsewhere, once: notifications and checkpoint are one transaction. What is erased there is
 * erased from what was told as well. Entries and the notices of their erasure pass through this one group in their order,
 * so no notice is met before what it names was told, or never will be.
 */
export function followOccasions(deps: FollowDeps, rows: readonly OccasionRow[] = occasionRows): Consumer {
  const ofType = Map.groupBy(rows, ({ type }) => type);
  return {
    group: "notifications-occasions",
    kind: "reaction",
    types: [...ofType.keys(), redactedType],
    start: "head",
    onPoison: "skip",
    batchMax,
    attemptsMax: 8,
    handle: async (entries, tx) => {
      const erased = erasedBy(entries);
      const occasions = entries
        .filter(({ id }) => !erased.has(id))
        .flatMap((entry) => occasionsIn(entry, ofType.get(entry.type) ?? []));
      const quotes = erased.size === 0 ? [] : await findQuotes(tx, [...erased]);
      await eraseTold(deps, quotes);
      const requests = await requestsFor(tx, occasions, deps.config.notificationTtls);
      await takeBack(tx, deps, quotes, requests);
      const told = await tell(tx, deps, requests);
      // After the people, as everywhere: who erases out of digests has them when it comes to these rows.
      if (erased.size > 0) await forgetOrigins(tx, [...erased]);
      if (told.length > 0) await deps.eventlog.appendIn(tx, told);
    },
  };
}

function erasedBy(entries: readonly Entry[]): ReadonlySet<string> {
  const notices = entries.filter(({ type }) => type === redactedType);
  return new Set(notices.flatMap((notice) => parseData<RedactedData>(notice).entry_ids));
}

function occasionsIn(entry: Entry, rows: readonly OccasionRow[]): readonly Caused[] {
  const meant = rows.filter((row) => entry.topic.startsWith(row.topics) && row.mayTell(entry.data));
  if (meant.length === 0) return [];
  const data = parseData(entry);
  return meant
    .flatMap((row) => row.occasionsOf(data))
    .map((occasion) => ({ ...occasion, actor: entry.actor }));
}

/**
 * Takes out of the log what was told; whoever follows the log's notices does the same elsewhere. With connections of its
 * own, so before any lock is held: those who wait for such a lock have all other connections. Repeating it is harmless.
 */
async function eraseTold(deps: FollowDeps, quotes: readonly Quote[]): Promise<void> {
  const told = quotes.filter(({ heldId }) => heldId === undefined);
  const alone = told
    .filter(({ inDigest }) => !inDigest)
    .map(({ notificationId, userId }) => ({ id: notificationId, topic: topics.user(userId) }));
  const digests = await rewriteDigests(
    deps,
    told.filter(({ inDigest }) => inDigest),
  );
  const targets = [...alone, ...digests];
  if (targets.length > 0) await deps.eventlog.redact(targets, "what it quotes was erased");
}

/** Takes back what was not told yet. Locks everybody who is told something by this transaction, too: all at once, in order. */
async function takeBack(
  tx: Tx,
  { people, clock }: FollowDeps,
  quotes: readonly Quote[],
  requests: readonly NotifyRequest[],
): Promise<void> {
  const held = quotes.filter(({ heldId }) => heldId !== undefined);
  if (held.length === 0) return;
  const targets = requests.flatMap((request) => request.targets.map(({ id }) => id));
  const locked = await people.lock(tx, [...held.map(({ userId }) => userId), ...targets], clock);
  await dropHeld(tx, held, locked.people);
}

/** Resolves with the entries that tell of it, to be appended last. */
async function tell(
  tx: Tx,
  { clock, people, metrics, log }: FollowDeps,
  requests: readonly NotifyRequest[],
): Promise<readonly NewEntry[]> {
  if (requests.length === 0) return [];
  const { answers, entries } = await saveNotifyIn(tx, { clock, people }, requests, true);
  const { told, refused } = await rememberOrigins(tx, requests, answers);
  tx.afterCommit(() => {
    metrics.messages.inc({ module: "notifications" }, told);
    if (Object.keys(refused).length > 0) log.debug({ refused }, "people are not told of what happened");
  });
  return entries;
}
