import { type Queryable, type Tx, arrayLiteral } from "../../../lib/db.ts";
import { type GatheringDigest, type HeldNotification, type OpenDigest, digestKey } from "../decide-notify.ts";
import type { PersonState } from "../person-state.ts";

/** Digests of these categories that gather for people whose rows are locked, by `digestKey`. Who wishes none has none. */
export async function findOpenDigests(
  tx: Tx,
  people: ReadonlyMap<number, PersonState>,
  categories: readonly string[],
): Promise<ReadonlyMap<string, OpenDigest>> {
  const ids = [...people].filter(([, { preferences }]) => preferences !== null).map(([userId]) => userId);
  if (ids.length === 0 || categories.length === 0) return new Map();
  const { rows } = await tx.query<{ id: string; user_id: number; category: string; closes_at: Date }>(
    `select id, user_id, category, closes_at from notification_digest
      where user_id = any($1::bigint[]) and category = any($2::text[])`,
    [arrayLiteral(ids), categories],
  );
  return new Map(
    rows.map(({ id, user_id: userId, category, closes_at: closesAt }) => [
      digestKey(userId, category),
      { id, closesMs: closesAt.getTime() },
    ]),
  );
}

/** Opens digests, or counts what they gather beside what they have. */
export async function saveDigests(
  tx: Queryable,
  digests: readonly GatheringDigest[],
  nowMs: number,
): Promise<void> {
  if (digests.length === 0) return;
  await tx.query(
    `insert into notification_digest as d (id, user_id, category, gathered, opened_at, closes_at)
     select id, user_id, category, more, $6, closes_at
       from unnest($1::uuid[], $2::bigint[], $3::text[], $4::int[], $5::timestamptz[])
            k(id, user_id, category, more, closes_at)
     on conflict (user_id, category) do update set gathered = d.gathered + excluded.gathered`,
    [
      arrayLiteral(digests.map(({ id }) => id)),
      arrayLiteral(digests.map(({ userId }) => userId)),
      digests.map(({ category }) => category),
      arrayLiteral(digests.map(({ more }) => more)),
      digests.map(({ closesMs }) => new Date(closesMs).toISOString()),
      new Date(nowMs),
    ],
  );
}

/** Keeps what is to be told later, after its digests are there. */
export async function insertHeld(tx: Queryable, held: readonly HeldNotification[]): Promise<void> {
  if (held.length === 0) return;
  await tx.query(
    `insert into notification_held (id, user_id, digest_id, release_at, actor, message, source, category, link, created_at, ttl_s)
     select id, user_id, digest_id, release_at, actor, message, source, category, link, created_at, ttl_s
       from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
                   $9::text[], $10::timestamptz[], $11::int[]) with ordinality
            k(id, user_id, digest_id, release_at, actor, message, source, category, link, created_at, ttl_s, place)
      order by k.place`,
    [
      arrayLiteral(held.map(({ id }) => id)),
      arrayLiteral(held.map(({ userId }) => userId)),
      held.map(({ digestId }) => digestId),
      held.map(({ releaseMs }) => (releaseMs === null ? null : new Date(releaseMs).toISOString())),
      held.map(({ actor }) => actor),
      held.map(({ message }) => message),
      held.map(({ source }) => source),
      held.map(({ category }) => category),
      held.map(({ link }) => link),
      held.map(({ createdAt }) => createdAt),
      arrayLiteral(held.map(({ ttlS }) => ttlS)),
    ],
  );
}
