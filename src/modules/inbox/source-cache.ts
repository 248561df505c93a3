import type { SourceScheme } from "../../../protocol/inbox.ts";
import type { Db, Queryable } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";

export type Source = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly createdAt: Date;
};

/** A source as the webhook needs it: with the secrets that are good right now. */
export type SigningSource = Source & { readonly secrets: readonly string[] };

/** By its name, or by its id. */
export type WhichSource = { readonly name: string } | { readonly id: number };

export type SourceCache = {
  /** As it was at most 2 s ago; without a promise when that is known. Throws or rejects with `unknown_source`. */
  find(which: WhichSource): SigningSource | Promise<SigningSource>;
  /** Forgets everything, what is not there included: something was changed. */
  clear(): void;
};

const cacheMs = 2_000;
/** Sources that are remembered, and as many names and ids that nobody has. */
const cacheSourcesMax = 10_000;

type Key = string | number;
type Waiting = Map<Key, PromiseWithResolvers<SigningSource>>;

/**
 * Sources as the database had them at most 2 s ago, and what it did not have. Anybody may ask for any name before a
 * credential is looked at, so names that nobody has are remembered too, apart from the others, and those that are new
 * gather while one question is under way: strangers take one connection of the pool, not all of them.
 */
export function createSourceCache(db: Db, nowMs: () => number = () => performance.now()): SourceCache {
  const known = new Lru<Key, { readonly at: number; readonly source: SigningSource }>(cacheSourcesMax);
  const unknown = new Lru<Key, number>(cacheSourcesMax);
  let asking: Waiting = new Map();
  let gathering: Waiting = new Map();
  let busy = false;
  /** Counts the changes: what was asked before one is answered, and not remembered. */
  let changes = 0;

  async function askAll(): Promise<void> {
    busy = true;
    while (gathering.size > 0) {
      const batch = gathering;
      [asking, gathering] = [batch, new Map()];
      const [at, changesThen] = [nowMs(), changes];
      try {
        const found = await lookUpSources(db, [...batch.keys()]);
        for (const [key, { resolve, reject }] of batch) {
          const source = found.get(key);
          if (changes === changesThen) {
            if (source === undefined) unknown.set(key, at);
            else known.set(key, { at, source });
          }
          if (source === undefined) reject(unknownSource(key));
          else resolve(source);
        }
      } catch (error) {
        for (const { reject } of batch.values()) reject(error);
      }
    }
    asking = new Map();
    busy = false;
  }

  function ask(key: Key): Promise<SigningSource> {
    const underWay = asking.get(key) ?? gathering.get(key);
    if (underWay !== undefined) return underWay.promise;
    const waiting = Promise.withResolvers<SigningSource>();
    gathering.set(key, waiting);
    if (!busy) void askAll();
    return waiting.promise;
  }

  return {
    find: (which) => {
      const key = "name" in which ? which.name : which.id;
      const cached = known.get(key);
      if (cached !== undefined && nowMs() - cached.at < cacheMs) return cached.source;
      const missedAt = unknown.get(key);
      if (missedAt !== undefined && nowMs() - missedAt < cacheMs) throw unknownSource(key);
      return ask(key);
    },
    clear: () => {
      changes++;
      known.clear();
      unknown.clear();
      // Whoever asks from now on must not get the answer to an earlier question.
      asking = new Map();
    },
  };
}

export function unknownSource(key: Key): AppError {
  return new AppError("unknown_source", { detail: `there is no source "${key}"` });
}

type SourceRow = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly created_at: Date;
  readonly secrets: readonly string[];
};

/** The sources behind these names and ids, from the database itself; what is not there is not in the answer. */
export async function lookUpSources(
  db: Queryable,
  keys: readonly Key[],
): Promise<ReadonlyMap<Key, SigningSource>> {
  const { rows } = await db.query<SourceRow>(
    `select id, name, scheme, created_at,
            array_remove(array[secret, case when previous_secret_until > now() then previous_secret end], null) as secrets
       from inbox_source where removed_at is null and (name = any($1::text[]) or id = any($2::bigint[]))`,
    [keys.filter((key) => typeof key === "string"), keys.filter((key) => typeof key === "number")],
  );
  const sources = rows.map(({ created_at: createdAt, ...row }) => ({ ...row, createdAt }));
  return new Map<Key, SigningSource>(
    sources.flatMap((source) => [
      [source.name, source],
      [source.id, source],
    ]),
  );
}
