import { randomBytes } from "node:crypto";
import { unlink } from "node:fs/promises";
import { BlockList, isIPv4, isIPv6 } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Db, Queryable } from "../lib/db.ts";
import { AppError, StartupError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Actor } from "./actor.ts";
import { type ApiKeys, developmentKeyName } from "./api-keys.ts";
import { createPrivateFile, readPrivateFile } from "./private-file.ts";

/** Credentials that the server makes for itself, so that a first try needs no configuration. Loopback only. */

const secretFile = "jwt-secret";
const keyFile = "development-key";
const secretLengthMin = 32;

/**
 * The JWT secret that stands in while neither JWT_SECRET nor JWT_JWKS_URL is set: random, made on the first start,
 * kept in the data directory. Safe when several processes start at once: one creates the file, the others read it.
 */
export async function loadDevelopmentSecret(dataDir: string, log: Logger): Promise<string> {
  const file = path.join(dataDir, secretFile);
  await createPrivateFile(file, async () => randomBytes(32).toString("base64url"));
  // Another process may have created the file and not yet written it.
  for (let attempt = 0; attempt < 10; attempt++) {
    const secret = await readPrivateFile(file, log);
    if (secret !== undefined && secret.length >= secretLengthMin) return secret;
    await sleep(50);
  }
  throw new StartupError(
    `${file} holds no secret of ${secretLengthMin} characters: remove it, and a new one is made`,
  );
}

export type DevelopmentKey = {
  readonly secret: string;
  /** True on the very first start only: then it is shown. */
  readonly created: boolean;
};

/** Serialises processes that start for the first time at the same moment; any number that nothing else uses. */
const developmentKeyLock = 7_319_204_552;

type DevelopmentKeyDeps = {
  readonly db: Pick<Db, "transaction">;
  readonly dataDir: string;
  readonly apiKeys: ApiKeys;
  /** The source to bind a new key to. */
  readonly sourceId: () => Promise<number>;
  readonly log: Logger;
};

export function developmentKeyFile(dataDir: string): string {
  return path.join(dataDir, keyFile);
}

/**
 * The API key for trying things out: scope `admin`, bound to a source, kept in the data directory. It is made when
 * the database has no key at all; afterwards a person's choices stand, and a key that was revoked or whose file was
 * removed is not made again. Undefined when there is none.
 * One process at a time looks and makes, under a lock of the database: of several that start together, one makes the
 * key and shows it. May be repeated after a failure: without the transaction's commit there is a file and no key.
 */
export function ensureDevelopmentKey(deps: DevelopmentKeyDeps): Promise<DevelopmentKey | undefined> {
  return deps.db.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock($1)", [developmentKeyLock]);
    const file = developmentKeyFile(deps.dataDir);
    const stored = await readPrivateFile(file, deps.log);
    if ((await deps.apiKeys.list(tx)).length > 0) return storedKey(deps.apiKeys, stored);
    // The database is a new one, or a first start ended halfway.
    if (stored !== undefined) await unlink(file);
    return makeKey(deps, file, tx);
  });
}

async function storedKey(apiKeys: ApiKeys, stored = ""): Promise<DevelopmentKey | undefined> {
  const actor = await apiKeys.verify(stored);
  return actor === undefined ? undefined : { secret: stored, created: false };
}

async function makeKey(
  { apiKeys, sourceId }: DevelopmentKeyDeps,
  file: string,
  tx: Queryable,
): Promise<DevelopmentKey> {
  const newKey = {
    name: developmentKeyName,
    development: true,
    scopes: ["admin"],
    sourceId: await sourceId(),
  } as const;
  const { secret } = await apiKeys.create(newKey, tx);
  if (!(await createPrivateFile(file, () => Promise.resolve(secret)))) {
    throw new Error(`${file} was made by another program`);
  }
  return { secret, created: true };
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether only programs of this machine can reach what listens on `host`. */
export function isLoopback(host: string): boolean {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  if (bare.toLowerCase() === "localhost") return true;
  if (isIPv4(bare)) return loopback.check(bare, "ipv4");
  return isIPv6(bare) && loopback.check(bare, "ipv6");
}

export function isDevelopmentKey(actor: Actor): boolean {
  return actor.kind === "key" && actor.name === developmentKeyName;
}

/**
 * Refuses the development key to whoever is not on this machine, and to everybody once the server listens beyond it: it
 * can do everything, was printed on a screen and may lie in a journal. A request that a proxy passed on came from
 * elsewhere, whatever address it has here, and one that calls this server by another name than its machine's own came
 * through something that a name leads to.
 */
export function requireDevelopmentPlace(at: DevelopmentPlace): void {
  const where = developmentPlaceMissing(at);
  if (where === undefined) return;
  throw new AppError("unauthorized", {
    detail: `the development key works only ${where}: create a key of your own`,
  });
}

/** What is only for trying things out works only there; undefined: the request comes from there. */
export function developmentPlaceMissing(at: DevelopmentPlace): string | undefined {
  if (!isLoopback(at.host)) return "while HOST is loopback";
  const isHere = !at.forwarded && isLoopback(at.address) && isLoopback(at.calledHost ?? "");
  return isHere ? undefined : "on the server's own machine";
}

export type DevelopmentPlace = HeaderPlace & {
  /** What the server listens on. */
  readonly host: string;
  /** Whom the request comes from. */
  readonly address: string;
};

/** Headers that say that a request was passed on: those of proxies, of what balances load, and of content networks. */
const proxyHeader = new RegExp(
  `^(?:${[
    "forwarded",
    "forwarded-for",
    "via",
    "x-forward-.*",
    "x-forwarded",
    "x-forwarded-.*",
    "x-real-.*",
    "x-original-.*",
    "(?:x-|true-|x-cluster-)?client-ip",
    "x-(?:proxy|envoy|varnish|amzn|amz-cf|azure|arr|appengine)-.*",
    "x-varnish",
    "proxy-connection",
    "max-forwards",
    "cdn-loop",
    "(?:cf|fastly|fly)-.*",
  ].join("|")})$`,
);

/** What a request's headers say about where it came from. */
export type HeaderPlace = {
  /** What it calls this server; undefined when it does not say. */
  readonly calledHost: string | undefined;
  /** Whether a proxy says that it has passed it on. */
  readonly forwarded: boolean;
};

/** Reads it from headers as Node gives them. */
export function placeOfHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): HeaderPlace {
  const { host } = headers;
  return {
    calledHost: typeof host === "string" ? host.replace(/:\d*$/, "") : undefined,
    forwarded: Object.keys(headers).some((name) => proxyHeader.test(name)),
  };
}

/** Refuses to listen beyond this machine while tokens are signed with the secret the server made for itself. */
export function requireSafeBinding(config: {
  readonly host: string;
  readonly jwtSecret: string | undefined;
  readonly jwtJwksUrl: URL | undefined;
}): void {
  if (config.jwtSecret !== undefined || config.jwtJwksUrl !== undefined || isLoopback(config.host)) return;
  throw new StartupError(
    `HOST=${config.host} would open the server to the network with a development secret: set JWT_SECRET (32 characters or more) or JWT_JWKS_URL, or leave HOST at 127.0.0.1`,
  );
}
