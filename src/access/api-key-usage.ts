import type { Db } from "../lib/db.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";

/** Seconds that must lie between two writes of one key's `last_used_at`. */
const writeEveryS = 60;

/**
 * When keys were used. Noting it costs a map entry; `flush` writes all of it with one statement, which passes over
 * keys that any process has written within the minute: `last_used_at` is true to within a minute, and a busy key
 * costs one row version a minute however many processes it meets.
 */
export class ApiKeyUsage {
  /** Key id -> unix milliseconds. Bounded by the number of keys that exist. */
  readonly #usedAt = new Map<number, number>();
  readonly #db: Pick<Db, "query">;
  readonly #log: Logger;

  constructor(db: Pick<Db, "query">, log: Logger) {
    this.#db = db;
    this.#log = log;
  }

  note(id: number, now: number): void {
    this.#usedAt.set(id, now);
  }

  /** Never rejects: what could not be written is kept for the next time. */
  async flush(): Promise<void> {
    const used = [...this.#usedAt];
    if (used.length === 0) return;
    this.#usedAt.clear();
    try {
      await this.#db.query(
        `update access_api_key as k set last_used_at = used.at
           from (select id, to_timestamp(ms / 1000.0) as at
                   from unnest($1::bigint[], $2::double precision[]) as u (id, ms)) as used
          where k.id = used.id
            and (k.last_used_at is null or k.last_used_at <= used.at - make_interval(secs => $3))`,
        [used.map(([id]) => id), used.map(([, at]) => at), writeEveryS],
      );
    } catch (error) {
      for (const [id, at] of used) this.#usedAt.set(id, Math.max(at, this.#usedAt.get(id) ?? 0));
      this.#log.warn({ reason: errorMessage(error) }, "usage of API keys not written");
    }
  }
}
