import { randomBytes } from "node:crypto";
import { unlink } from "node:fs/promises";
import { BlockList, isIPv4, isIPv6 } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StartupError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { ApiKeys } from "./api-keys.ts";
import { createPrivateFile, readPrivateFile } from "./private-file.ts";

/** Credentials that the server makes for itself, so that a first try needs no configuration. Loopback only. */

const secretFile = "jwt-secret";
const keyFile = "development-key";
export const developmentKeyName = "development";
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

/**
 * The API key for trying things out: scope `admin`, bound to a source, kept in the data directory. It is made when
 * the database has no key at all; afterwards a person's choices stand, and a key that was revoked or whose file was
 * removed is not made again. Undefined when there is none.
 * The caller holds the data directory alone, as the embedded PostgreSQL requires anyway.
 */
export async function ensureDevelopmentKey(deps: {
  readonly dataDir: string;
  readonly apiKeys: ApiKeys;
  /** The source to bind a new key to. */
  readonly sourceId: () => Promise<number>;
  readonly log: Logger;
}): Promise<DevelopmentKey | undefined> {
  const { apiKeys, sourceId } = deps;
  const file = path.join(deps.dataDir, keyFile);
  const stored = await readPrivateFile(file, deps.log);
  const keys = await apiKeys.list();
  if (keys.length > 0 && stored === undefined) return undefined;
  if (keys.length > 0 && stored !== undefined && stored !== "") {
    const actor = await apiKeys.verify(stored);
    return actor === undefined ? undefined : { secret: stored, created: false };
  }
  if (stored !== undefined) {
    // An empty file: a first start ended halfway, and its key is lost. No keys at all: the database is a new one.
    for (const key of keys) {
      if (key.name === developmentKeyName && key.revokedAt === undefined) await apiKeys.revoke(key.id);
    }
    await unlink(file);
  }
  let secret = "";
  const created = await createPrivateFile(file, async () => {
    ({ secret } = await apiKeys.create({
      name: developmentKeyName,
      scopes: ["admin"],
      sourceId: await sourceId(),
    }));
    return secret;
  });
  return created ? { secret, created } : undefined;
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
