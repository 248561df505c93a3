import { AppError } from "../lib/errors.ts";
import type { Db } from "../lib/db.ts";

export type DeadLetter = {
  readonly id: number;
  readonly group: string;
  readonly entryId: string;
  readonly topic: string;
  readonly type: string;
  readonly time: Date;
  readonly attempts: number;
  readonly error: string;
  /** When its last attempt failed and it was given up. */
  readonly parkedAt: Date;
  /** Later entries of its topic that wait for it; 0 where the group skips dead letters. */
  readonly waitingBehind: number;
};

/** With the entry's data, JSON text. */
export type DeadLetterDetail = DeadLetter & { readonly data: string };

export type DeadLetterPage = {
  readonly deadLetters: readonly DeadLetter[];
  readonly next: number | undefined;
};

type DeadLetterRow = {
  readonly id: number;
  readonly group_name: string;
  readonly entry_id: string;
  readonly topic: string;
  readonly type: string;
  readonly time: Date;
  readonly attempts: number;
  readonly error: string | null;
  readonly parked_at: Date;
  readonly waiting_behind: number;
  readonly data: string;
};

const columns = `d.id, d.group_name, d.entry_id, d.topic, d.type, d.time, d.attempts, d.error, d.parked_at,
  (select count(*) from eventlog_parked w where w.group_name = d.group_name and w.topic = d.topic
      and w.state = 'parked' and w.entry_offset > d.entry_offset) as waiting_behind`;

function toDeadLetter(row: DeadLetterRow): DeadLetter {
  return {
    id: row.id,
    group: row.group_name,
    entryId: row.entry_id,
    topic: row.topic,
    type: row.type,
    time: row.time,
    attempts: row.attempts,
    error: row.error ?? "",
    parkedAt: row.parked_at,
    waitingBehind: row.waiting_behind,
  };
}

/** A page of dead letters, newest first. `before` is the `next` of the page before. */
export async function listDeadLetters(
  db: Db,
  filter: { readonly group?: string; readonly before?: number; readonly limit: number },
): Promise<DeadLetterPage> {
  const { rows } = await db.query<DeadLetterRow>(
    `select ${columns} from eventlog_parked d
      where d.state = 'dead' and ($1::text is null or d.group_name = $1) and ($2::bigint is null or d.id < $2)
      order by d.id desc limit $3 + 1`,
    [filter.group ?? null, filter.before ?? null, filter.limit],
  );
  const deadLetters = rows.slice(0, filter.limit).map(toDeadLetter);
  return { deadLetters, next: rows.length > filter.limit ? deadLetters.at(-1)?.id : undefined };
}

/** Throws `not_found`. */
export async function showDeadLetter(db: Db, id: number): Promise<DeadLetterDetail> {
  const { rows } = await db.query<DeadLetterRow>(
    `select ${columns}, d.data from eventlog_parked d where d.state = 'dead' and d.id = $1`,
    [id],
  );
  const row = rows[0];
  if (row === undefined) throw new AppError("not_found", { detail: `there is no dead letter ${id}` });
  return { ...toDeadLetter(row), data: row.data };
}

/** Tells the owners of the partitions of `changed` that what is parked there has changed. */
const tellOwners = `locked as materialized (
       select group_name, part from eventlog_group
        where (group_name, part) in (select group_name, part from changed) order by group_name, part for no key update
     ), told as (
       update eventlog_group g set parked_changes = parked_changes + 1
         from locked where g.group_name = locked.group_name and g.part = locked.part
     )`;

/**
 * Makes dead letters due again, with all their attempts; the owner of their partition takes them up within a second,
 * in log order within a topic, those that wait behind them after them. Resolves with how many there were.
 */
export async function retryDeadLetters(
  db: Db,
  which: { readonly id: number } | { readonly group: string } | "all",
): Promise<number> {
  const id = which !== "all" && "id" in which ? which.id : undefined;
  const group = which !== "all" && "group" in which ? which.group : undefined;
  const { rows } = await db.query<{ retried: number }>(
    `with changed as (
       update eventlog_parked set state = 'parked', attempts = 0, next_at = now()
        where state = 'dead' and ($1::bigint is null or id = $1) and ($2::text is null or group_name = $2)
       returning group_name, part
     ), ${tellOwners}
     select count(*) as retried from changed`,
    [id ?? null, group ?? null],
  );
  const retried = rows[0]?.retried ?? 0;
  if (retried === 0 && id !== undefined)
    throw new AppError("not_found", { detail: `there is no dead letter ${id}` });
  return retried;
}

/** Gives a dead letter up for good; those that wait behind it go on. Throws `not_found`. */
export async function dropDeadLetter(db: Db, id: number): Promise<DeadLetter> {
  const { rows } = await db.query<DeadLetterRow>(
    `with changed as (
       delete from eventlog_parked d where d.state = 'dead' and d.id = $1 returning d.part, ${columns}
     ), ${tellOwners}
     select * from changed`,
    [id],
  );
  const row = rows[0];
  if (row === undefined) throw new AppError("not_found", { detail: `there is no dead letter ${id}` });
  return toDeadLetter(row);
}
