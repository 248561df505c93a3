import { appendUntil } from "../eventlog/closed-loop.ts";
import { verify } from "../harness/bench.ts";
import type { TemporaryPostgres } from "../harness/postgres.ts";
import { openPeerPool } from "./peer-pool.ts";

/** Connections, and callers: a caller more would only wait for a connection. */
export const insertConnections = 20;

/**
 * The log's columns and its two unique keys, without what makes it a log: the offset comes from a sequence instead of
 * counter rows, and the table is not partitioned, which spares the peer the routing of rows.
 */
const schema = `
create table single_entry (
  segment int not null, part smallint not null, entry_offset bigserial not null, id uuid not null, topic text not null,
  type text not null, time timestamptz not null, actor text not null, data json not null, trace text,
  primary key (part, entry_offset, segment), unique (id, part, segment))`;

const statement = `insert into single_entry (segment, part, id, topic, type, time, actor, data, trace)
values (1, $1, $2, $3, $4, $5, $6, $7, null)`;

/** Durable entries per second, each in an INSERT and a commit of its own, prepared, over a pool of pg. */
export async function measureSingleInserts(postgres: TemporaryPostgres, forMs: number): Promise<number> {
  await using database = await postgres.createDatabase();
  const pool = openPeerPool(database.address, insertConnections);
  try {
    await pool.query(schema);
    let sent = 0;
    const { rate, acknowledged } = await appendUntil(
      ({ id, topic, type, actor, data }) =>
        pool.query({
          name: "single_insert",
          text: statement,
          values: [sent++ % 16, id, topic, type, new Date(), actor, data],
        }),
      { callers: insertConnections, forMs },
      () => database.checkpoint(),
    );
    const { rows } = await pool.query<{ count: string }>("select count(*) from single_entry");
    const stored = Number(rows[0]?.count);
    verify(stored === acknowledged, `${acknowledged} inserts acknowledged, ${stored} stored`);
    return rate;
  } finally {
    await pool.end();
  }
}
