import type { SourceScheme, SourceView } from "../../../protocol/inbox.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Access } from "../../access/access.ts";
import type { Db, Queryable } from "../../lib/db.ts";
import { AppError, errorCodeOf } from "../../lib/errors.ts";
import {
  type SigningSource,
  type Source,
  type WhichSource,
  createSourceCache,
  lookUpSources,
  unknownSource,
} from "./source-cache.ts";
import { checkNewSource, newSecret } from "./source-secret.ts";

export type Sources = {
  /** The secret (for `api_key`: a new key bound to the source) is answered here and never again. Throws `conflict`. */
  create(source: {
    readonly name: string;
    readonly scheme: SourceScheme;
    readonly secret?: string;
  }): Promise<{ readonly source: Source; readonly secret: string }>;
  list(): Promise<readonly Source[]>;
  /** Sources by name, those that come after one; at most `limit`, without it all. */
  page(where: { readonly after?: string; readonly limit?: number }): Promise<readonly Source[]>;
  /**
   * Makes a new secret or key; the previous one is good for `graceS` seconds more, a day unless told, and with 0 for
   * none, or as long as processes remember it (see `SourceCache`). `endsAt` is when; with `api_key` it is the end of every key that is
   * bound to the source and may do nothing else, whoever made it. Throws `unknown_source`.
   */
  rotate(
    name: string,
    options?: { readonly graceS?: number },
  ): Promise<{ readonly source: Source; readonly secret: string; readonly endsAt: Date }>;
  /** Ends a source; its dialogs stay. False when there is none of that name. */
  remove(name: string): Promise<boolean>;
  /** From a cache, then without a promise: see `SourceCache`. Throws `unknown_source`. */
  find(which: WhichSource): SigningSource | Promise<SigningSource>;
};

type SourceRow = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly created_at: Date;
};

function toSource(row: SourceRow): Source {
  return { id: row.id, name: row.name, scheme: row.scheme, createdAt: row.created_at };
}

/** What HTTP answers and the command line prints of a source. */
export function sourceView({ id, name, scheme, createdAt }: Source): SourceView {
  return { id, name, scheme, created_at: createdAt.toISOString() };
}

export function createSources(deps: { readonly db: Db; readonly access: Pick<Access, "apiKeys"> }): Sources {
  const { db } = deps;
  const { apiKeys } = deps.access;
  const cache = createSourceCache(db);
  const page: Sources["page"] = ({ after, limit }) => listSources(db, after ?? "", limit);

  return {
    page,
    list: () => page({}),

    async create({ name, scheme, secret }) {
      checkNewSource(name, scheme, secret);
      // With its key in one transaction: a source without one could neither send nor be created again.
      const created = await db.transaction(async (tx) => {
        const made = scheme === "api_key" ? undefined : (secret ?? newSecret(scheme));
        const source = await insertSource(tx, { name, scheme, secret: made });
        return { source, secret: made ?? (await newKey(apiKeys, source, tx)) };
      });
      cache.clear();
      return created;
    },

    async rotate(name, { graceS = limits.rotationGraceS } = {}) {
      const endsAt = new Date(Date.now() + graceS * 1000);
      const rotated = await db.transaction(async (tx) => {
        const source = (await lookUpSources(tx, [name])).get(name);
        if (source === undefined) throw unknownSource(name);
        if (source.scheme === "api_key") {
          await apiKeys.endOfSource(source.id, endsAt, tx);
          return { source, secret: await newKey(apiKeys, source, tx), endsAt };
        }
        const secret = newSecret(source.scheme);
        await changeSecret(tx, { id: source.id, secret, graceS });
        return { source, secret, endsAt };
      });
      cache.clear();
      return rotated;
    },

    async remove(name) {
      const removed = await db.transaction(async (tx) => {
        const { rows } = await tx.query<{ id: number }>(
          "update inbox_source set removed_at = now() where name = $1 and removed_at is null returning id",
          [name],
        );
        for (const { id } of rows) await apiKeys.endOfSource(id, new Date(), tx);
        return rows.length > 0;
      });
      cache.clear();
      return removed;
    },

    find: (which) => cache.find(which),
  };
}

async function newKey(apiKeys: Access["apiKeys"], source: Source, tx: Queryable): Promise<string> {
  const name = `source ${source.name}`.slice(0, limits.nameLength);
  const key = await apiKeys.create({ name, scopes: ["webhook:write"], sourceId: source.id }, tx);
  return key.secret;
}

async function listSources(
  db: Queryable,
  after: string,
  limit: number | undefined,
): Promise<readonly Source[]> {
  const { rows } = await db.query<SourceRow>(
    `select id, name, scheme, created_at from inbox_source
      where removed_at is null and name > $1 order by name limit $2`,
    [after, limit ?? null],
  );
  return rows.map(toSource);
}

async function insertSource(
  db: Queryable,
  source: { readonly name: string; readonly scheme: SourceScheme; readonly secret: string | undefined },
): Promise<Source> {
  try {
    const { rows } = await db.query<SourceRow>(
      "insert into inbox_source (name, scheme, secret) values ($1, $2, $3) returning id, name, scheme, created_at",
      [source.name, source.scheme, source.secret ?? null],
    );
    const row = rows[0];
    if (row === undefined) throw new Error("the source was not inserted");
    return toSource(row);
  } catch (error) {
    const uniqueViolation = "23505";
    if (errorCodeOf(error) !== uniqueViolation) throw error;
    throw new AppError("conflict", { detail: `there already is a source "${source.name}"`, cause: error });
  }
}

async function changeSecret(
  db: Queryable,
  { id, secret, graceS }: { readonly id: number; readonly secret: string; readonly graceS: number },
): Promise<void> {
  await db.query(
    `update inbox_source
        set previous_secret = case when $3::int > 0 then secret end,
            previous_secret_until = case when $3::int > 0 then now() + make_interval(secs => $3::int) end,
            secret = $2
      where id = $1`,
    [id, secret, graceS],
  );
}

/** The id of a source with an API key for trying things out; made where it is missing. */
export async function ensureDemoSource(db: Db): Promise<number> {
  await db.query(
    "insert into inbox_source (name, scheme) values ('demo', 'api_key') on conflict (name) where removed_at is null do nothing",
  );
  const source = (await lookUpSources(db, ["demo"])).get("demo");
  if (source === undefined) throw unknownSource("demo");
  return source.id;
}
