import type { Deps } from "../../deps.ts";
import type { NewEntry } from "../../eventlog/eventlog.ts";
import { type Tx, arrayLiteral } from "../../lib/db.ts";
import type { Clock } from "../../lib/clock.ts";
import type { AppError } from "../../lib/errors.ts";
import {
  type Made,
  type NotifyAnswer,
  type NotifyFacts,
  type NotifyRequest,
  decideNotify,
  notificationIdOf,
  requestKey,
} from "./decide-notify.ts";
import { findOpenDigests, insertHeld, saveDigests } from "./wishes/held.ts";
import type { People } from "./people.ts";
import { findRequests, rememberRequests } from "./requests.ts";
import { saveFresh } from "./save-fresh.ts";

export type SaveDeps = Pick<Deps, "db" | "eventlog" | "clock"> & { readonly people: People };

/**
 * Tells people what a batch of requests asks for in one transaction, with a handful of statements whatever its size:
 * locks keys and people, reads what decides, decides, writes, and appends the entries last. Answers each request on its
 * own. `again`: an earlier attempt at these requests may have had its effect.
 */
export async function saveNotify(
  deps: SaveDeps,
  requests: readonly NotifyRequest[],
  again: boolean,
): Promise<readonly (NotifyAnswer | AppError)[]> {
  return deps.db.transaction(async (tx) => {
    const { answers, entries } = await saveNotifyIn(tx, deps, requests, again);
    if (entries.length > 0) await deps.eventlog.appendIn(tx, entries);
    return answers;
  });
}

export type SavedNotify = {
  readonly answers: readonly (NotifyAnswer | AppError)[];
  /** They tell devices of it, and are to be appended last of all. */
  readonly entries: readonly NewEntry[];
};

/** The same in a transaction of the caller's. */
export async function saveNotifyIn(
  tx: Tx,
  { clock, people }: Pick<SaveDeps, "clock" | "people">,
  requests: readonly NotifyRequest[],
  again: boolean,
): Promise<SavedNotify> {
  const read = await readFacts(tx, people, requests, clock);
  const facts = again ? { ...read, made: await findMade(tx, requests) } : read;
  const decision = decideNotify(requests, facts);
  await saveDigests(tx, decision.digests, facts.nowMs);
  await insertHeld(tx, decision.held);
  const entries = await saveFresh(tx, { ...decision, nowMs: facts.nowMs });
  await rememberRequests(tx, decision.keyed, facts.nowMs);
  return { answers: decision.answers, entries };
}

async function readFacts(
  tx: Tx,
  rows: People,
  requests: readonly NotifyRequest[],
  clock: Clock,
): Promise<NotifyFacts> {
  const { known, inFlight } = await findRequests(tx, requests);
  // Whoever needs no answer from the people needs none of their locks either.
  const ids = new Set<number>();
  for (const { actor, idempotency, targets } of requests) {
    const key = idempotency === undefined ? undefined : requestKey(actor, idempotency.key);
    if (key !== undefined && (known.has(key) || inFlight.has(key))) continue;
    for (const { id } of targets) ids.add(id);
  }
  const usernames = await rows.usernames(tx, [...ids]);
  const { people, nowMs } = await rows.lock(tx, [...usernames.keys()], clock);
  const categories = new Set(requests.flatMap(({ category, critical }) => (critical ? [] : [category])));
  const digests = await findOpenDigests(tx, people, [...categories]);
  return { usernames, people, known, inFlight, digests, made: new Map(), nowMs };
}

/**
 * What an attempt whose commit was not answered has done. Under the locks of its people, so it has ended. What it has
 * gathered for a digest that was told meanwhile is not found any more: between two attempts is a second at most.
 */
async function findMade(tx: Tx, requests: readonly NotifyRequest[]): Promise<ReadonlyMap<string, Made>> {
  const ids = requests.flatMap((request) => request.targets.map(({ id }) => notificationIdOf(request, id)));
  const { rows } = await tx.query<{ id: string; notification_id: string; held_until: Date | null }>(
    `select id, id as notification_id, null::timestamptz as held_until from notification where id = any($1::uuid[])
      union all
     select h.id, coalesce(d.id, h.id), coalesce(d.closes_at, h.release_at)
       from notification_held h left join notification_digest d on d.id = h.digest_id where h.id = any($1::uuid[])`,
    [arrayLiteral(ids)],
  );
  return new Map(
    rows.map(({ id, notification_id: notificationId, held_until: heldUntil }) => [
      id,
      { notificationId, heldUntilMs: heldUntil?.getTime() },
    ]),
  );
}
