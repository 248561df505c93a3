import type { Preferences } from "../../../protocol/preferences.ts";
import type { Clock } from "../../lib/clock.ts";
import { type Queryable, type Tx, arrayLiteral } from "../../lib/db.ts";
import { usernamesOf } from "../../access/people.ts";
import { AppError } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";
import type { PersonState } from "./person-state.ts";

type PersonRow = {
  readonly user_id: number;
  readonly version: number;
  readonly unread: number;
  readonly stored: number;
  readonly stream_ms: number;
  readonly stream_n: number;
  readonly held: number;
  readonly preferences: Preferences | null;
  /** A number where it is infinite. */
  readonly ends_at: Date | number;
  readonly ends_version: number;
};

export type Locked = { readonly people: ReadonlyMap<number, PersonState>; readonly nowMs: number };

/** People who are known to have a row, and whose names are known; both stay for ever. */
export const knownPeopleMax = 100_000;

/** The rows of people, which are locked in the order of their ids, and made for those who have none. */
export class People {
  readonly #known = new Lru<number, true>(knownPeopleMax);
  readonly #names = new Lru<number, string>(knownPeopleMax);

  /** The usernames of people; ids that nobody has are left out. */
  async usernames(db: Queryable, ids: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const found = new Map<number, string>();
    const unknown: number[] = [];
    for (const id of new Set(ids)) {
      const name = this.#names.get(id);
      if (name === undefined) unknown.push(id);
      else found.set(id, name);
    }
    for (const [id, name] of await usernamesOf(db, unknown)) {
      this.#names.set(id, name);
      found.set(id, name);
    }
    return found;
  }

  /**
   * What is counted for people, who must exist; their rows are locked until the transaction ends. `nowMs` is the moment of
   * it, after the locks: whoever had to wait for them must not leave out what has ended meanwhile.
   */
  async lock(tx: Tx, ids: readonly number[], clock: Clock): Promise<Locked> {
    const wanted = [...new Set(ids)].toSorted((a, b) => a - b);
    if (wanted.length === 0) return { people: new Map(), nowMs: clock.now() };
    // Made before any is locked, or two of these could wait for each other.
    const missing = wanted.filter((id) => this.#known.get(id) === undefined);
    if (missing.length > 0) await makeRows(tx, missing);
    const list = arrayLiteral(wanted);
    const rows = await lockRows(tx, list);
    if (rows.length < wanted.length) {
      // The database has lost what it once had: a failover, or a restored backup.
      this.#known.clear();
      this.#names.clear();
      throw new AppError("unavailable", {
        retryAfterS: 1,
        detail: "people whose notifications were counted are gone",
      });
    }
    tx.afterCommit(() => {
      for (const id of missing) this.#known.set(id, true);
    });
    const nowMs = clock.now();
    const ends = await findEnds(tx, rows.filter(isDoubtful(nowMs)), nowMs);
    const people = new Map(rows.map((row) => [row.user_id, toState(row, ends.get(row.user_id))]));
    return { people, nowMs };
  }
}

async function makeRows(tx: Tx, ids: readonly number[]): Promise<void> {
  await tx.query(
    `insert into notification_person (user_id) select id from unnest($1::bigint[]) i(id) order by id on conflict do nothing`,
    [arrayLiteral(ids)],
  );
}

async function lockRows(tx: Tx, ids: string): Promise<readonly PersonRow[]> {
  const { rows } = await tx.query<PersonRow>(
    `select user_id, version, unread, stored, stream_ms, stream_n, held, preferences, ends_at, ends_version
       from notification_person
      where user_id = any($1::bigint[]) order by user_id for no key update`,
    [ids],
    { name: "notification_lock_people" },
  );
  return rows;
}

type Ends = { readonly unread: number; readonly stored: number; readonly endsMs: number };

/** Something of theirs may have ended, or an older server has told them something. */
function isDoubtful(nowMs: number): (row: PersonRow) => boolean {
  return (row) => Number(row.ends_at) <= nowMs || row.ends_version !== row.version;
}

/**
 * Of such people: how many of those that are counted have ended, and wait to be removed; of whom nothing has, when the first
 * one does. By itself, after the locks.
 */
async function findEnds(
  tx: Queryable,
  doubtful: readonly PersonRow[],
  nowMs: number,
): Promise<ReadonlyMap<number, Ends>> {
  if (doubtful.length === 0) return new Map();
  const ids = doubtful.map((row) => row.user_id);
  const ended = await countEnded(tx, ids, nowMs);
  // Only of these are all rows read, which is once after each removal.
  const first = await findFirstEnds(
    tx,
    ids.filter((id) => !ended.has(id)),
  );
  return new Map(
    ids.map((id) => [
      id,
      ended.get(id) ?? { unread: 0, stored: 0, endsMs: first.get(id) ?? Number.POSITIVE_INFINITY },
    ]),
  );
}

async function countEnded(
  tx: Queryable,
  ids: readonly number[],
  nowMs: number,
): Promise<ReadonlyMap<number, Ends>> {
  const { rows } = await tx.query<{ user_id: number; unread: number; stored: number }>(
    `select n.user_id, count(*) filter (where n.state in ('unread', 'seen')) as unread, count(*) as stored
       from notification n where n.user_id = any($1::bigint[]) and n.expires_at <= $2 group by n.user_id`,
    [arrayLiteral(ids), new Date(nowMs)],
  );
  // As long as what has ended is there, it is looked for.
  return new Map(
    rows.map(({ user_id: userId, ...counts }) => [userId, { ...counts, endsMs: Number.NEGATIVE_INFINITY }]),
  );
}

async function findFirstEnds(tx: Queryable, ids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  if (ids.length === 0) return new Map();
  const { rows } = await tx.query<{ user_id: number; ends_at: Date }>(
    "select user_id, min(expires_at) as ends_at from notification where user_id = any($1::bigint[]) group by user_id",
    [arrayLiteral(ids)],
  );
  return new Map(rows.map(({ user_id: userId, ends_at: endsAt }) => [userId, endsAt.getTime()]));
}

function toState(row: PersonRow, ends: Ends | undefined): PersonState {
  const { version, unread, stored, stream_ms: streamMs, stream_n: streamN, held, preferences } = row;
  const counted = { version, unread, stored, streamMs, streamN, held, preferences };
  if (ends === undefined) return { ...counted, endsMs: Number(row.ends_at), endedUnread: 0, endedStored: 0 };
  return { ...counted, endsMs: ends.endsMs, endedUnread: ends.unread, endedStored: ends.stored };
}

function timeText(ms: number): string {
  if (Number.isFinite(ms)) return new Date(ms).toISOString();
  return ms > 0 ? "infinity" : "-infinity";
}

/** Writes what is counted for people whose rows are locked. */
export async function savePeople(db: Queryable, people: ReadonlyMap<number, PersonState>): Promise<void> {
  if (people.size === 0) return;
  const states = [...people.values()];
  // The ids are said twice: by the join alone, what is prepared while the table is small reads all of it from then on.
  await db.query(
    `update notification_person p
        set version = k.version, unread = k.unread, stored = k.stored, stream_ms = k.stream_ms, stream_n = k.stream_n,
            held = k.held, ends_at = k.ends_at, ends_version = k.version
       from unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[], $5::bigint[], $6::int[], $7::int[], $8::timestamptz[])
            k(user_id, version, unread, stored, stream_ms, stream_n, held, ends_at)
      where p.user_id = any($1::bigint[]) and p.user_id = k.user_id`,
    [
      arrayLiteral([...people.keys()]),
      arrayLiteral(states.map(({ version }) => version)),
      arrayLiteral(states.map(({ unread }) => unread)),
      arrayLiteral(states.map(({ stored }) => stored)),
      arrayLiteral(states.map(({ streamMs }) => streamMs)),
      arrayLiteral(states.map(({ streamN }) => streamN)),
      arrayLiteral(states.map(({ held }) => held)),
      arrayLiteral(states.map(({ endsMs }) => timeText(endsMs))),
    ],
    { name: "notification_save_people" },
  );
}
