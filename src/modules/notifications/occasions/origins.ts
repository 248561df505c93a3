import { type Queryable, type Tx, arrayLiteral } from "../../../lib/db.ts";
import { AppError } from "../../../lib/errors.ts";
import { type NotifyAnswer, type NotifyRequest, notificationIdOf } from "../decide-notify.ts";
import { savePeople } from "../people.ts";
import type { PersonState } from "../person-state.ts";
import { lineMark } from "./digest-lines.ts";

/** Names what a person was told of in a set. */
export function originKey(origin: string, userId: number): string {
  return `${origin} ${userId}`;
}

/** Who was told of these, or would have been had they wished to or had there been room, by `originKey`. */
export async function findTold(db: Queryable, origins: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ origin: string; user_id: number }>(
    "select origin, user_id from notification_origin where origin = any($1::uuid[])",
    [arrayLiteral([...new Set(origins)])],
  );
  return new Set(rows.map(({ origin, user_id: userId }) => originKey(origin, userId)));
}

/** How many are told, now or later, and how many are not by code: of `muted` ones they wish so, all others are lost to them. */
export type Remembered = { readonly told: number; readonly refused: Readonly<Record<string, number>> };

/**
 * Remembers who was told of what, and under which id. Also who was not: nobody is told again because a message changes, and
 * of what found no room nothing comes later.
 */
export async function rememberOrigins(
  tx: Tx,
  requests: readonly NotifyRequest[],
  answers: readonly (NotifyAnswer | AppError)[],
): Promise<Remembered> {
  const rows = requests.flatMap((request, i) => {
    const answer = answers[i];
    // They have no key under which they could be refused.
    if (answer === undefined || answer instanceof AppError) throw new Error("an occasion was not answered");
    return request.targets.map(({ id: userId }, place) => {
      const result = answer.results[place];
      const told = result !== undefined && "notification_id" in result ? result.notification_id : null;
      const refused = result !== undefined && "error" in result ? result.error.code : undefined;
      const inDigest = told !== null && told !== notificationIdOf(request, userId);
      return {
        origin: request.id,
        userId,
        told,
        refused,
        line: inDigest ? lineMark(request.message) : null,
      };
    });
  });
  await tx.query(
    `insert into notification_origin (origin, user_id, notification_id, line)
     select origin, user_id, notification_id, decode(line, 'hex')
       from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[]) k(origin, user_id, notification_id, line)
         on conflict do nothing`,
    [
      arrayLiteral(rows.map(({ origin }) => origin)),
      arrayLiteral(rows.map(({ userId }) => userId)),
      arrayLiteral(rows.map(({ told }) => told ?? "null")),
      rows.map(({ line }) => line),
    ],
  );
  const refused = Object.fromEntries(countBy(rows.flatMap((row) => row.refused ?? [])));
  return { told: rows.filter(({ told }) => told !== null).length, refused };
}

/** What a person was told of something, and where it is. */
export type Quote = {
  readonly origin: string;
  readonly userId: number;
  /** Of the notification that quotes it, or of the digest that does. */
  readonly notificationId: string;
  /** Under which it waits to be told; undefined once it was, or is not to be told any more. */
  readonly heldId: string | undefined;
  /** Others are gathered with it under the same id. */
  readonly inDigest: boolean;
};

/** What people were told of these, as far as anything was told or waits for that. */
export async function findQuotes(db: Queryable, origins: readonly string[]): Promise<readonly Quote[]> {
  const { rows } = await db.query<{ origin: string; user_id: number; notification_id: string }>(
    `select origin, user_id, notification_id from notification_origin
      where origin = any($1::uuid[]) and notification_id is not null`,
    [arrayLiteral(origins)],
  );
  if (rows.length === 0) return [];
  const ownIds = rows.map(({ origin, user_id: userId }) => notificationIdOf({ id: origin }, userId));
  const { rows: held } = await db.query<{ id: string }>(
    "select id from notification_held where id = any($1::uuid[])",
    [arrayLiteral(ownIds)],
  );
  const waiting = new Set(held.map(({ id }) => id));
  return rows.map(({ origin, user_id: userId, notification_id: notificationId }, i) => {
    const ownId = ownIds[i];
    return {
      origin,
      userId,
      notificationId,
      heldId: ownId !== undefined && waiting.has(ownId) ? ownId : undefined,
      inDigest: ownId !== notificationId,
    };
  });
}

/**
 * Takes back what waits to be told, out of digests, too: `people` are those who wait for it, their rows locked. Throws
 * when some of it was told meanwhile: the log has that now, and it is to be looked for anew.
 */
export async function dropHeld(
  tx: Tx,
  quotes: readonly Quote[],
  people: ReadonlyMap<number, PersonState>,
): Promise<void> {
  const ids = quotes.flatMap(({ heldId }) => heldId ?? []);
  if (ids.length === 0) return;
  const { rows } = await tx.query<{ user_id: number; digest_id: string | null }>(
    "delete from notification_held where id = any($1::uuid[]) returning user_id, digest_id",
    [arrayLiteral(ids)],
  );
  if (rows.length < ids.length) throw new Error("what was to be taken back was told meanwhile");
  const fewer = countBy(rows.flatMap(({ digest_id: digestId }) => digestId ?? []));
  const counts = [arrayLiteral([...fewer.keys()]), arrayLiteral([...fewer.values()])];
  await tx.query(
    `delete from notification_digest d using unnest($1::uuid[], $2::int[]) k(id, fewer)
      where d.id = k.id and d.gathered = k.fewer`,
    counts,
  );
  await tx.query(
    `update notification_digest d set gathered = d.gathered - k.fewer
       from unnest($1::uuid[], $2::int[]) k(id, fewer) where d.id = k.id`,
    counts,
  );
  const after = [...countBy(rows.map(({ user_id: userId }) => userId))].flatMap(([userId, count]) => {
    const before = people.get(userId);
    return before === undefined ? [] : [[userId, { ...before, held: before.held - count }] as const];
  });
  await savePeople(tx, new Map(after));
}

/** By `lineMark`, what was erased of a digest, and how often its other lines say what. */
export type DigestLines = {
  readonly userId: number;
  readonly erased: ReadonlySet<string>;
  readonly staying: ReadonlyMap<string, number>;
};

/** Where these quotations are at this moment, by the digest's id. */
export async function findLines(db: Queryable, quotes: readonly Quote[]): Promise<Map<string, DigestLines>> {
  const origins = arrayLiteral(quotes.map(({ origin }) => origin));
  type Line = { readonly id: string; readonly user_id: number; readonly line: string };
  const { rows: erased } = await db.query<Line>(
    `select notification_id as id, o.user_id, encode(line, 'hex') as line
       from unnest($1::uuid[], $2::bigint[]) k(origin, user_id)
       join notification_origin o on o.origin = k.origin and o.user_id = k.user_id
      where o.line is not null`,
    [origins, arrayLiteral(quotes.map(({ userId }) => userId))],
  );
  const ids = [...new Set(erased.map(({ id }) => id))];
  const { rows: others } = await db.query<Pick<Line, "id" | "line"> & { readonly count: number }>(
    `select notification_id as id, encode(line, 'hex') as line, count(*)::int as count from notification_origin
      where notification_id = any($1::uuid[]) and line is not null and origin <> all($2::uuid[])
      group by notification_id, line`,
    [arrayLiteral(ids), origins],
  );
  const staying = Map.groupBy(others, ({ id }) => id);
  return new Map(
    [...Map.groupBy(erased, ({ id }) => id)].map(([id, lines]) => [
      id,
      {
        userId: lines[0]?.user_id ?? 0,
        erased: new Set(lines.map(({ line }) => line)),
        staying: new Map((staying.get(id) ?? []).map(({ line, count }) => [line, count])),
      },
    ]),
  );
}

/** What other digests say now; what is erased stays where it was shown. */
export async function moveOrigins(
  tx: Tx,
  moved: readonly { readonly from: string; readonly to: string }[],
  erased: readonly Quote[],
): Promise<void> {
  await tx.query(
    `update notification_origin o set notification_id = k.fresh from unnest($1::uuid[], $2::uuid[]) k(old, fresh)
      where o.notification_id = any($1::uuid[]) and o.notification_id = k.old and o.line is not null
        and o.origin <> all($3::uuid[])`,
    [
      arrayLiteral(moved.map(({ from }) => from)),
      arrayLiteral(moved.map(({ to }) => to)),
      arrayLiteral(erased.map(({ origin }) => origin)),
    ],
  );
}

/** Nothing quotes these any more. */
export async function forgetOrigins(tx: Tx, origins: readonly string[]): Promise<void> {
  await tx.query("delete from notification_origin where origin = any($1::uuid[])", [arrayLiteral(origins)]);
}

function countBy<K>(keys: readonly K[]): ReadonlyMap<K, number> {
  const counts = new Map<K, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
