import type { DbAddress, Queryable } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";
import { type Entry, type JsonText, PositionExpiredError, type ReadResult } from "./eventlog.ts";

export type EntryRow = {
  readonly id: string;
  readonly part: number;
  readonly entry_offset: number;
  readonly topic: string;
  readonly type: string;
  readonly time_ms: number;
  readonly actor: string;
  readonly data: string;
  readonly trace: string | null;
};

/** Column `bytes` of a row: of its data and of that of the rows before it in the window `inorder`. */
export const runningBytes = "sum(octet_length(data::text)) over inorder as bytes";

/** The condition on rows with it that belong to the answer: the first one always does. */
export function withinBytes(row: string, bytesMax: string): string {
  return `(${row}.bytes <= ${bytesMax} or ${row}.bytes = octet_length(${row}.data::text))`;
}

/**
 * Each place of a partition that is read from is a row of `place`, which names the one segment that holds the wanted
 * offset, so the planner never merges segments. `head` and `next_segment_at` come from the same snapshot as the rows:
 * below `head`, all that will ever be there is there. `following` tells of an entry that the limit allows and the bound
 * on bytes does not.
 */
const readStatement = `
with place as materialized (
  select w.nr, w.part, w.after, w.entries_max, w.bytes_max,
         (select next_offset - 1 from eventlog_partition p where p.part = w.part) as head,
         (select min(first_offset) from eventlog_segment s where s.part = w.part) as oldest,
         (select max(segment) from eventlog_segment s where s.part = w.part and first_offset <= w.after + 1) as segment,
         (select min(first_offset) from eventlog_segment s
           where s.part = w.part and first_offset > w.after + 1) as next_segment_at
    from unnest($1::int[], $2::bigint[], $3::int[], $4::bigint[])
         with ordinality w(part, after, entries_max, bytes_max, nr)
)
select p.nr::int, p.head, p.oldest, p.next_segment_at, e.following, e.id, e.part, e.entry_offset, e.topic, e.type,
       (extract(epoch from e.time) * 1000)::float8 as time_ms, e.actor, e.data, e.trace
  from place p left join lateral (
    select *, lead(entry_offset) over inorder as following, ${runningBytes} from (
      select * from eventlog_entry
       where part = p.part and entry_offset > p.after and segment = p.segment
       order by entry_offset limit p.entries_max) allowed
    window inorder as (order by entry_offset rows unbounded preceding)) e on ${withinBytes("e", "p.bytes_max")}`;

type ReadRow = {
  readonly nr: number;
  readonly head: number | null;
  readonly oldest: number;
  readonly next_segment_at: number | null;
  readonly following: number | null;
} & { readonly [K in keyof EntryRow]: EntryRow[K] | null };

/** What of a partition is read: see `EventLog.read`. */
export type ReadPlace = {
  readonly partition: number;
  readonly after: number;
  readonly limit: number;
  readonly bytesMax: number;
};

/** Places of one statement. */
export const readPlacesMax = 64;

/** Reads several places with one statement; what was wrong with one of them is answered in its stead. */
async function readPlaces(
  session: Session,
  places: readonly ReadPlace[],
): Promise<readonly (ReadResult | Error)[]> {
  const { rows } = await session.query<ReadRow>({
    name: "eventlog_read",
    text: readStatement,
    values: [
      places.map(({ partition }) => partition),
      places.map(({ after }) => after),
      places.map(({ limit }) => limit),
      places.map(({ bytesMax }) => bytesMax),
    ],
  });
  const byPlace = places.map((): ReadRow[] => []);
  for (const row of rows) byPlace[row.nr - 1]?.push(row);
  // The statement has them in order as it is planned today; to let it promise so would sort the large rows once more.
  for (const list of byPlace) list.sort((a, b) => (a.entry_offset ?? 0) - (b.entry_offset ?? 0));
  return places.map((place, i) => resultOf(place, byPlace[i] ?? []));
}

function resultOf({ partition, after, limit }: ReadPlace, rows: readonly ReadRow[]): ReadResult | Error {
  const [first] = rows;
  if (first === undefined || first.head === null) {
    return new RangeError(`the log has no partition ${partition}`);
  }
  if (after + 1 < first.oldest) return new PositionExpiredError(partition, after, first.oldest - 1);
  const entries = rows.filter((row): row is ReadRow & EntryRow => row.id !== null).map(toEntry);
  // A short answer means that the segment ends here: the rest of its offsets, if any, are gaps.
  const segmentEnd = first.next_segment_at === null ? first.head : first.next_segment_at - 1;
  const more = entries.length === limit || rows.at(-1)?.following !== null;
  const end = more ? (entries.at(-1)?.offset ?? after) : Math.max(segmentEnd, after);
  return { entries, end };
}

type Wish = {
  readonly place: ReadPlace;
  readonly resolve: (result: ReadResult) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * What is asked for in one turn, or while a statement is under way, is read with one statement: whoever follows sixteen
 * busy partitions asks the database little more often than whoever follows one.
 */
export class Reads {
  readonly #session: Session;
  #wishes: Wish[] = [];
  #running = false;

  constructor(
    address: DbAddress,
    { log, onConnect }: { readonly log: Logger; readonly onConnect: () => void },
  ) {
    this.#session = new Session(address, {
      name: "reader",
      log,
      pipeline: true,
      onConnect: async (client) => {
        onConnect();
        // Judged by the lengths of its arrays the statement would be planned anew each time, for longer than it runs.
        await client.query("set plan_cache_mode = force_generic_plan");
      },
    });
  }

  read(place: ReadPlace): Promise<ReadResult> {
    return new Promise((resolve, reject) => {
      this.#wishes.push({ place, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      queueMicrotask(() => void this.#run());
    });
  }

  /** Opens its connection, if it is not open. */
  async connect(): Promise<void> {
    await this.#session.connect();
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  async #run(): Promise<void> {
    while (this.#wishes.length > 0) {
      await this.#grant(this.#wishes.splice(0, readPlacesMax));
      // Those who have been answered ask again: they join those who came meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#running = false;
  }

  async #grant(wishes: readonly Wish[]): Promise<void> {
    try {
      const results = await readPlaces(
        this.#session,
        wishes.map(({ place }) => place),
      );
      for (const [i, { resolve, reject }] of wishes.entries()) {
        const result = results[i];
        if (result === undefined || result instanceof Error) reject(result);
        else resolve(result);
      }
    } catch (error) {
      const [only] = wishes;
      if (only !== undefined && wishes.length === 1) return only.reject(error);
      // What cannot be read in one partition must not stop the others.
      await Promise.all(wishes.map((wish) => this.#grant([wish])));
    }
  }
}

export function toEntry(row: EntryRow): Entry {
  return {
    id: row.id,
    partition: row.part,
    offset: row.entry_offset,
    topic: row.topic,
    type: row.type,
    time: Math.round(row.time_ms),
    actor: row.actor,
    data: row.data as JsonText,
    trace: row.trace ?? undefined,
  };
}

/** The last offset of each partition that retention has removed. */
export async function tailOffsets(queryable: Queryable): Promise<readonly number[]> {
  const { rows } = await queryable.query<{ tail: number }>(
    "select min(first_offset) - 1 as tail from eventlog_segment group by part order by part",
  );
  return rows.map(({ tail }) => tail);
}
