import { randomBytes } from "node:crypto";
import { type SourceScheme, sourceNamePattern } from "../../../protocol/inbox.ts";
import type { Access } from "../../access/access.ts";
import { AppError, errorCodeOf } from "../../lib/errors.ts";
import type { Db } from "../../lib/db.ts";
import { Lru } from "../../lib/lru.ts";

export type Source = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly createdAt: Date;
};

/** A source as the webhook needs it: with the secrets that are good right now. */
export type SigningSource = Source & { readonly secrets: readonly string[] };

export type Sources = {
  /** The secret (for `api_key`: a new key bound to the source) is answered here and never again. Throws `conflict`. */
  create(source: {
    readonly name: string;
    readonly scheme: SourceScheme;
    readonly secret?: string;
  }): Promise<{ readonly source: Source; readonly secret: string }>;
  list(): Promise<readonly Source[]>;
  /** Makes a new secret; the previous one is good for another 24 h. Throws `unknown_source`. */
  rotate(name: string): Promise<{ readonly secret: string }>;
  /** Ends a source; its dialogs stay. False when there is none of that name. */
  remove(name: string): Promise<boolean>;
  /** From a cache that is at most 2 s old; then without a promise. Throws `unknown_source`. */
  find(which: { readonly name: string } | { readonly id: number }): SigningSource | Promise<SigningSource>;
};

/** How long the previous secret or key of a source is good after a rotation, milliseconds. */
const previousSecretMs = 24 * 3_600_000;
const cacheMs = 2_000;
const cacheSourcesMax = 10_000;

type SourceRow = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly created_at: Date;
  readonly secrets: readonly string[];
};

function toSource(row: Omit<SourceRow, "secrets">): Source {
  return { id: row.id, name: row.name, scheme: row.scheme, createdAt: row.created_at };
}

export function createSources(deps: { readonly db: Db; readonly access: Pick<Access, "apiKeys"> }): Sources {
  const { db, access } = deps;
  const cache = createCache(db);

  const newKey = async (source: Source): Promise<string> => {
    const key = await access.apiKeys.create({
      name: `source ${source.name}`.slice(0, 64),
      scopes: ["webhook:write"],
      sourceId: source.id,
    });
    return key.secret;
  };

  return {
    async create({ name, scheme, secret }) {
      checkNew(name, scheme, secret);
      const made = scheme === "api_key" ? undefined : (secret ?? newSecret(scheme));
      const source = await insertSource(db, { name, scheme, secret: made });
      cache.clear();
      return { source, secret: made ?? (await newKey(source)) };
    },

    async list() {
      const { rows } = await db.query<SourceRow>(
        "select id, name, scheme, created_at from inbox_source where removed_at is null order by name",
      );
      return rows.map(toSource);
    },

    async rotate(name) {
      const { scheme, id } = await lookUp(db, { name }).then(required(name));
      if (scheme === "api_key") {
        await access.apiKeys.endOfSource(id, new Date(Date.now() + previousSecretMs));
        return { secret: await newKey({ id, name, scheme, createdAt: new Date() }) };
      }
      const secret = newSecret(scheme);
      await db.query(
        `update inbox_source set previous_secret = secret, previous_secret_until = now() + make_interval(secs => $3), secret = $2
          where id = $1`,
        [id, secret, previousSecretMs / 1000],
      );
      cache.clear();
      return { secret };
    },

    async remove(name) {
      const { rows } = await db.query<{ id: number }>(
        "update inbox_source set removed_at = now() where name = $1 and removed_at is null returning id",
        [name],
      );
      cache.clear();
      const [removed] = rows;
      if (removed === undefined) return false;
      await access.apiKeys.endOfSource(removed.id, new Date());
      return true;
    },

    find: (which) => cache.find(which),
  };
}

/** Sources as the database had them at most `cacheMs` ago; one look-up at a time for a source, however many ask. */
function createCache(db: Db): Pick<Sources, "find"> & { clear(): void } {
  const known = new Lru<string | number, { readonly at: number; readonly source: SigningSource }>(
    cacheSourcesMax,
  );
  const loading = new Map<string | number, Promise<SigningSource>>();
  return {
    find: (which) => {
      const key = "name" in which ? which.name : which.id;
      const cached = known.get(key);
      if (cached !== undefined && performance.now() - cached.at < cacheMs) return cached.source;
      const underWay = loading.get(key);
      if (underWay !== undefined) return underWay;
      const at = performance.now();
      const answer = lookUp(db, which)
        .then(required(String(key)))
        .then((source) => {
          known.set(key, { at, source });
          return source;
        })
        .finally(() => loading.delete(key));
      loading.set(key, answer);
      return answer;
    },
    clear: () => {
      known.clear();
      loading.clear();
    },
  };
}

function required(name: string): (source: SigningSource | undefined) => SigningSource {
  return (source) => {
    if (source === undefined)
      throw new AppError("unknown_source", { detail: `there is no source "${name}"` });
    return source;
  };
}

async function lookUp(
  db: Db,
  which: { readonly name: string } | { readonly id: number },
): Promise<SigningSource | undefined> {
  const { rows } = await db.query<SourceRow>(
    `select id, name, scheme, created_at,
            array_remove(array[secret, case when previous_secret_until > now() then previous_secret end], null) as secrets
       from inbox_source where removed_at is null and (name = $1 or id = $2)`,
    "name" in which ? [which.name, null] : [null, which.id],
  );
  const row = rows[0];
  return row === undefined ? undefined : { ...toSource(row), secrets: row.secrets };
}

async function insertSource(
  db: Db,
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

/** The id of a source with an API key for trying things out; made where it is missing. */
export async function ensureDemoSource(db: Db): Promise<number> {
  await db.query(
    "insert into inbox_source (name, scheme) values ('demo', 'api_key') on conflict (name) where removed_at is null do nothing",
  );
  return (await lookUp(db, { name: "demo" }).then(required("demo"))).id;
}

const telegramToken = /^[A-Za-z0-9_-]{16,256}$/;
const standardSecret = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/;

/** The command line does not pass through the schema, so everything is checked here. */
function checkNew(name: string, scheme: SourceScheme, secret: string | undefined): void {
  const refuse = (pointer: string, detail: string): never => {
    throw new AppError("invalid_body", {
      detail: `${pointer} ${detail}`,
      fields: [{ pointer, code: "format", detail }],
    });
  };
  if (!new RegExp(sourceNamePattern).test(name)) {
    refuse("/name", "must be 1 to 64 lower-case letters, digits, dots, dashes or underscores");
  }
  if (secret === undefined) return;
  if (scheme === "api_key") refuse("/secret", "is made by the server for this scheme: leave it out");
  if (scheme === "standard" && !standardSecret.test(secret)) {
    refuse("/secret", "must be whsec_ followed by 24 to 64 bytes in base64");
  }
  if (scheme === "telegram" && !telegramToken.test(secret)) {
    refuse("/secret", "must be 16 to 256 letters, digits, dashes or underscores");
  }
  if (secret.length < 16 || secret.length > 256) refuse("/secret", "must have 16 to 256 characters");
  // PostgreSQL cannot hold NUL, UTF-8 no lone surrogates, and what has a control character was pasted by mistake.
  if (/\p{Cc}/u.test(secret) || !secret.isWellFormed()) {
    refuse("/secret", "must not contain control characters or lone surrogates");
  }
}

function newSecret(scheme: SourceScheme): string {
  return scheme === "standard"
    ? `whsec_${randomBytes(32).toString("base64")}`
    : randomBytes(32).toString("base64url");
}
