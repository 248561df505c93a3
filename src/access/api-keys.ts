import { createHash, hash, randomBytes } from "node:crypto";
import { limits } from "../../protocol/limits.ts";
import { type Scope, isScope, scopes } from "../../protocol/scopes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Db, Queryable, Row } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { Lru } from "../lib/lru.ts";
import type { KeyActor } from "./actor.ts";
import { AnswerCache } from "./answer-cache.ts";
import { ApiKeyUsage } from "./api-key-usage.ts";
import { askDatabase, lookUpMaxMs } from "./ask-database.ts";

export type ApiKey = {
  readonly id: number;
  readonly name: string;
  /** The first characters of the key: enough to recognise it, not to use it. */
  readonly hint: string;
  readonly scopes: readonly Scope[];
  readonly sourceId: number | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
};

export type NewApiKey = {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly sourceId?: number;
  readonly expiresAt?: Date;
  /** That it is the key that the server makes for itself: no other one may have `developmentKeyName`. */
  readonly development?: boolean;
};

/** The name by which the development key is recognised, so nobody else's key may have it. */
export const developmentKeyName = "development";

export type ApiKeys = {
  /** Creates a key. `secret` is the key itself: it is stored only as a hash and can never be shown again. */
  create(key: NewApiKey, tx?: Queryable): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  list(tx?: Queryable): Promise<readonly ApiKey[]>;
  /** Ends a key; every process honours it within 2 s. False when there is no such active key. */
  revoke(id: number): Promise<boolean>;
  /** Lets the keys that only send a source's webhooks end at a time, or earlier where they end earlier. */
  endOfSource(sourceId: number, at: Date, tx?: Queryable): Promise<void>;
  /**
   * The actor behind a key, or undefined when it is unknown, expired or revoked. `beforeAsking` is called before the
   * database is asked about a key that was never good as far as this process remembers; what it throws is thrown on.
   */
  verify(secret: string, beforeAsking?: () => void): Promise<KeyActor | undefined>;
};

/** The keys as `app.ts` holds them: it also says when their usage is written. */
export type OwnedApiKeys = ApiKeys & {
  /** Writes when keys were last used; for a timer. Never rejects. */
  flushUsage(): Promise<void>;
  /** Writes what is left. Call it before the database closes. */
  close(): Promise<void>;
};

export const apiKeyPrefix = "tdk_";
const keyPattern = /^tdk_[A-Za-z0-9_-]{43}$/;
const secretBytes = 32;
const hintLength = 10;
/** How long an answer, found or not found, may be given again. A revoked key works at most this long. */
const keepMs = 2_000;
/** Keys whose answers are kept, and keys that are remembered as good ones. */
const keysMax = 10_000;

/** What one look-up found. Expiry is judged at each use, since an answer lives on in the cache. */
type FoundKey = { readonly actor: KeyActor; readonly expiresAtMs: number };

/**
 * API keys: `tdk_` and 256 random bits as base64url. The table holds SHA-256 of the whole key: against 256 random
 * bits guessing is hopeless, so a slow password hash would add only cost. A key is looked up by its hash, and no
 * comparison with a stored secret takes place whose time could tell anything.
 */
export function createApiKeys(deps: {
  readonly db: Pick<Db, "query">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Tests make it short. */
  readonly lookUpMaxMs?: number;
}): OwnedApiKeys {
  const { db, clock, lookUpMaxMs: maxMs = lookUpMaxMs } = deps;
  const cache = new AnswerCache<FoundKey | undefined>(clock, { keepMs, entriesMax: keysMax });
  /** Digests of keys that were there when last looked for. Whoever holds such a key is not guessing. */
  const familiar = new Lru<string, true>(keysMax);
  const usage = new ApiKeyUsage(db, deps.log);

  return {
    create: (key, tx = db) => insertKey(tx, key, clock.now()),
    list: async (tx = db) => {
      const { rows } = await tx.query<KeyRow>(`select ${columns} from access_api_key order by id`);
      return rows.map(toApiKey);
    },
    revoke: async (id) => {
      const { rows } = await db.query<{ hash: Buffer }>(
        `update access_api_key set revoked_at = $2
          where id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)
          returning hash`,
        [id, new Date(clock.now())],
      );
      for (const row of rows) cache.delete(row.hash.toString("base64"));
      return rows.length > 0;
    },
    verify: async (secret, beforeAsking) => {
      if (!keyPattern.test(secret)) return undefined;
      // The cache knows keys by their hash too: a heap dump then holds no usable one.
      const digest = hash("sha256", secret, "base64");
      const found = await cache.get(digest, async () => {
        if (familiar.get(digest) === undefined) beforeAsking?.();
        const answer = await findKey({ db, maxMs }, digest);
        if (answer === undefined) familiar.delete(digest);
        else familiar.set(digest, true);
        return answer;
      });
      const now = clock.now();
      if (found === undefined || found.expiresAtMs <= now) return undefined;
      usage.note(found.actor.id, now);
      return found.actor;
    },
    endOfSource: async (sourceId, at, tx = db) => {
      const { rows } = await tx.query<{ hash: Buffer }>(
        `update access_api_key set expires_at = $2
          where source_id = $1 and scopes = array['webhook:write'] and revoked_at is null
            and (expires_at is null or expires_at > $2)
          returning hash`,
        [sourceId, at],
      );
      for (const row of rows) cache.delete(row.hash.toString("base64"));
    },
    flushUsage: () => usage.flush(),
    close: () => usage.flush(),
  };
}

type KeyRow = Row & {
  readonly id: number;
  readonly name: string;
  readonly hint: string;
  readonly scopes: readonly string[];
  readonly source_id: number | null;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
};

const columns = "id, name, hint, scopes, source_id, created_at, expires_at, revoked_at, last_used_at";

async function insertKey(db: Queryable, key: NewApiKey, now: number): ReturnType<ApiKeys["create"]> {
  const name = key.name.trim();
  refuseUnusable(key, name, now);
  const secret = apiKeyPrefix + randomBytes(secretBytes).toString("base64url");
  const { rows } = await db.query<KeyRow>(
    `insert into access_api_key (name, hint, hash, scopes, source_id, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7) returning ${columns}`,
    [
      name,
      secret.slice(0, hintLength),
      createHash("sha256").update(secret).digest(),
      [...new Set(key.scopes)],
      key.sourceId ?? null,
      new Date(now),
      key.expiresAt ?? null,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("insert into access_api_key returned no row");
  return { key: toApiKey(row), secret };
}

function refuseUnusable(key: NewApiKey, name: string, now: number): void {
  const refuse = (field: string, code: string, detail: string): AppError =>
    new AppError("invalid_body", { detail, fields: [{ pointer: `/${field}`, code, detail }] });
  if (name === "" || name.length > limits.nameLength || /\p{Cc}/u.test(name)) {
    throw refuse("name", "length", `The name of a key has 1 to ${limits.nameLength} printable characters`);
  }
  if (name === developmentKeyName && key.development !== true) {
    throw refuse("name", "reserved", `The name "${developmentKeyName}" is that of the server's own key`);
  }
  if (key.scopes.length === 0 || !key.scopes.every(isScope)) {
    throw refuse("scopes", "unknown", `A key needs at least one scope of ${Object.keys(scopes).join(", ")}`);
  }
  if (key.expiresAt !== undefined && !(key.expiresAt.getTime() > now)) {
    throw refuse("expires_at", "past", "A key must expire in the future");
  }
}

async function findKey(
  from: { readonly db: Pick<Db, "query">; readonly maxMs: number },
  digest: string,
): Promise<FoundKey | undefined> {
  const { db, maxMs } = from;
  const { rows } = await askDatabase(
    (signal) =>
      db.query<KeyRow>(
        `select ${columns} from access_api_key where hash = $1 and revoked_at is null`,
        [Buffer.from(digest, "base64")],
        { name: "access_api_key_by_hash", signal },
      ),
    { maxMs },
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const key = toApiKey(row);
  return {
    actor: {
      kind: "key",
      id: key.id,
      name: key.name,
      scopes: new Set(key.scopes),
      sourceId: key.sourceId,
    },
    expiresAtMs: key.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
  };
}

/** Scopes that this version does not know (a newer server beside it made them) grant nothing. */
function toApiKey(row: KeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    hint: row.hint,
    scopes: row.scopes.filter(isScope),
    sourceId: row.source_id ?? undefined,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    lastUsedAt: row.last_used_at ?? undefined,
  };
}
