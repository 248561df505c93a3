import { type Tx, arrayLiteral } from "../../../lib/db.ts";
import type { ExpireDeps } from "../expire.ts";
import { saveFresh } from "../save-fresh.ts";
import { type Waiting, decideRelease } from "./decide-release.ts";
import { digestLinesMax, digestText } from "./digest-text.ts";

/** What one transaction looks at. */
export type Wanted = {
  /** Notifications, or digests, at most. */
  readonly limit: number;
  /** What was due at this moment, Unix milliseconds: of one run everything is judged by the same. */
  readonly dueMs: number;
  /** People who are left alone, and single ones that are. */
  readonly people: readonly number[];
  readonly ids: readonly string[];
  /** Hears what is looked at. */
  readonly onDue?: (due: readonly Due[]) => void;
  /** What became due last comes first; else what is due longest. */
  readonly newestFirst?: boolean;
};

/** One that is due: a notification or a digest, and whose it is. */
export type Due = { readonly id: string; readonly userId: number };

/** `found`: there was something due; there may be more of it. `released`: those that wait no more; of some nobody is told. */
export type Part = { readonly found: boolean; readonly released: number; readonly told: number };
const nothing: Part = { found: false, released: 0, told: 0 };

/** Digests that one transaction closes hold so many notifications in all, unless it is one alone. */
export const gatheredBatchMax = 10_000;

type PartDeps = Omit<ExpireDeps, "db">;

type HeldRow = {
  readonly id: string;
  readonly user_id: number;
  readonly digest_id: string | null;
  readonly actor: string;
  readonly message: string;
  readonly source: string;
  readonly category: string;
  readonly link: string | null;
  readonly created_at: Date;
  readonly ttl_s: number;
};
const heldColumns =
  "h.id, h.user_id, h.digest_id, h.actor, h.message, h.source, h.category, h.link, h.created_at, h.ttl_s";

/** Tells some of what was held and is due. */
export async function releasePart(
  tx: Tx,
  { eventlog, clock, people }: PartDeps,
  { limit, dueMs, people: left, ids, onDue, newestFirst = false }: Wanted,
): Promise<Part> {
  const { rows: due } = await tx.query<{ id: string; user_id: number }>(
    `select id, user_id from notification_held
      where digest_id is null and release_at <= $1 and user_id <> all($3::bigint[]) and id <> all($4::uuid[])
      order by ${newestFirst ? "release_at desc, place desc" : "release_at, place"} limit $2`,
    [new Date(dueMs), limit, arrayLiteral(left), arrayLiteral(ids)],
  );
  if (due.length === 0) return nothing;
  onDue?.(due.map(({ id, user_id: userId }) => ({ id, userId })));
  const { people: states, nowMs } = await people.lock(
    tx,
    due.map(({ user_id: userId }) => userId),
    clock,
  );
  // Read again under the locks: what was told, erased or put off meanwhile is not due any more.
  const { rows } = await tx.query<HeldRow>(
    `select ${heldColumns} from notification_held h
      where h.id = any($1::uuid[]) and h.digest_id is null and h.release_at <= $2 order by h.place`,
    [arrayLiteral(due.map(({ id }) => id)), new Date(dueMs)],
  );
  const { done, later, ...fresh } = decideRelease(rows.map(waitingOf), states, { dueMs, nowMs });
  await tx.query("delete from notification_held where id = any($1::uuid[])", [arrayLiteral(done)]);
  await tx.query(
    `update notification_held h set release_at = k.at from unnest($1::uuid[], $2::timestamptz[]) k(id, at)
      where h.id = any($1::uuid[]) and h.id = k.id`,
    [arrayLiteral(later.map(({ id }) => id)), later.map(({ atMs }) => new Date(atMs).toISOString())],
  );
  const entries = await saveFresh(tx, { ...fresh, nowMs });
  if (entries.length > 0) await eventlog.appendIn(tx, entries);
  return { found: rows.length > 0, released: done.length, told: entries.length };
}

function waitingOf(row: HeldRow): Waiting {
  const { id, user_id: userId, category } = row;
  return { id, userId, category, held: 1, told: { ...toldOf(row), gathered: 1 } };
}

function toldOf({ id, actor, message, source, category, link, created_at: createdAt, ttl_s: ttlS }: HeldRow) {
  const said = { notification_id: id, actor, message, source, category, critical: false, link };
  return { ...said, createdAt: createdAt.toISOString(), ttlS };
}

type DigestRow = {
  readonly id: string;
  readonly user_id: number;
  readonly category: string;
  readonly gathered: number;
};

/** Closes some of the digests that are due. */
export async function closePart(
  tx: Tx,
  { eventlog, clock, people }: PartDeps,
  { limit, dueMs, people: left, ids, onDue, newestFirst = false }: Wanted,
): Promise<Part> {
  const { rows: due } = await tx.query<DigestRow>(
    `select id, user_id, category, gathered from (
       select d.*, sum(gathered) over (order by closes_at, id) - gathered as before
         from (select * from notification_digest
                where closes_at <= $1 and user_id <> all($4::bigint[]) and id <> all($5::uuid[])
                order by ${newestFirst ? "closes_at desc, id desc" : "closes_at, id"} limit $2) d) d
      where before < $3`,
    [new Date(dueMs), limit, gatheredBatchMax, arrayLiteral(left), arrayLiteral(ids)],
  );
  if (due.length === 0) return nothing;
  onDue?.(due.map(({ id, user_id: userId }) => ({ id, userId })));
  const { people: states, nowMs } = await people.lock(
    tx,
    due.map(({ user_id: userId }) => userId),
    clock,
  );
  const digests = await readDigests(
    tx,
    due.map(({ id }) => id),
    dueMs,
  );
  const { done, later, ...fresh } = decideRelease(digests, states, { dueMs, nowMs });
  const closed = arrayLiteral(done);
  await tx.query("delete from notification_held where digest_id = any($1::uuid[])", [closed]);
  await tx.query("delete from notification_digest where id = any($1::uuid[])", [closed]);
  await tx.query(
    `update notification_digest d set closes_at = k.at from unnest($1::uuid[], $2::timestamptz[]) k(id, at) where d.id = k.id`,
    [arrayLiteral(later.map(({ id }) => id)), later.map(({ atMs }) => new Date(atMs).toISOString())],
  );
  const entries = await saveFresh(tx, { ...fresh, nowMs });
  if (entries.length > 0) await eventlog.appendIn(tx, entries);
  return { found: digests.length > 0, released: done.length, told: entries.length };
}

/** Under the locks: those that are still due, and the newest of what each has gathered. */
async function readDigests(tx: Tx, ids: readonly string[], dueMs: number): Promise<readonly Waiting[]> {
  const { rows: digests } = await tx.query<DigestRow>(
    `select id, user_id, category, gathered from notification_digest
      where id = any($1::uuid[]) and closes_at <= $2 order by closes_at, id`,
    [arrayLiteral(ids), new Date(dueMs)],
  );
  const { rows } = await tx.query<HeldRow>(
    `select h.* from unnest($1::uuid[]) k(id) cross join lateral (
       select ${heldColumns}, h.place from notification_held h where h.digest_id = k.id order by h.place desc limit $2) h
      order by h.place`,
    [arrayLiteral(digests.map(({ id }) => id)), digestLinesMax],
  );
  const lines = Map.groupBy(rows, ({ digest_id: digestId }) => digestId);
  return digests.map(({ id, user_id: userId, category, gathered }) => {
    const last = (lines.get(id) ?? []).map(toldOf);
    return {
      id,
      userId,
      category,
      held: gathered,
      told: digestText({ id, category, gathered, last }),
    };
  });
}
