import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { StartupError } from "../lib/errors.ts";
import type { ApiKey, ApiKeys } from "./api-keys.ts";
import {
  ensureDevelopmentKey,
  isLoopback,
  loadDevelopmentSecret,
  requireSafeBinding,
} from "./development.ts";

async function setUp(t: TestContext) {
  const parent = await mkdtemp(path.join(tmpdir(), "tidings-development-"));
  t.after(() => rm(parent, { recursive: true }));
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  return { dataDir: path.join(parent, "data"), lines, log };
}

/** Keys in memory: only what `ensureDevelopmentKey` asks of them. */
function memoryKeys() {
  const stored: { key: ApiKey; secret: string }[] = [];
  const apiKeys: ApiKeys = {
    create: async ({ name, scopes, sourceId }) => {
      const id = stored.length + 1;
      const secret = `tdk_${String(id).padStart(43, "x")}`;
      const unset = { expiresAt: undefined, revokedAt: undefined, lastUsedAt: undefined };
      const key = { id, name, hint: secret.slice(0, 10), scopes, sourceId, createdAt: new Date(), ...unset };
      stored.push({ key, secret });
      return { key, secret };
    },
    list: async () => stored.map(({ key }) => key),
    revoke: async (id) => {
      const found = stored.find(({ key }) => key.id === id);
      if (found !== undefined) found.key = { ...found.key, revokedAt: new Date() };
      return found !== undefined;
    },
    endOfSource: () => Promise.reject(new Error("not asked for")),
    verify: async (secret) => {
      const found = stored.find((item) => item.secret === secret)?.key;
      if (found === undefined || found.revokedAt !== undefined) return undefined;
      const { id, name, sourceId } = found;
      return { kind: "key", id, name, scopes: new Set(found.scopes), sourceId };
    },
  };
  return apiKeys;
}

async function modeOf(file: string): Promise<number> {
  return (await stat(file)).mode & 0o777;
}

test("the development secret is made once, for its owner only, also when processes start together", async (t) => {
  const { dataDir, log } = await setUp(t);
  const made = await Promise.all(Array.from({ length: 8 }, () => loadDevelopmentSecret(dataDir, log)));
  assert.equal(new Set(made).size, 1);
  assert.ok((made[0]?.length ?? 0) >= 43);
  assert.equal(await modeOf(path.join(dataDir, "jwt-secret")), 0o600);
  assert.equal(await loadDevelopmentSecret(dataDir, log), made[0]);
});

test("a secret file that others may read is closed to them, with a warning that does not hold the secret", async (t) => {
  const { dataDir, lines, log } = await setUp(t);
  const secret = await loadDevelopmentSecret(dataDir, log);
  const file = path.join(dataDir, "jwt-secret");
  await chmod(file, 0o644);
  assert.equal(await loadDevelopmentSecret(dataDir, log), secret);
  assert.equal(await modeOf(file), 0o600);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /"mode":"644"/);
  assert.ok(!lines[0]?.includes(secret));
});

test("a secret file that holds no secret is a fault that says what to do", async (t) => {
  const { dataDir, log } = await setUp(t);
  await loadDevelopmentSecret(dataDir, log);
  await writeFile(path.join(dataDir, "jwt-secret"), "");
  await assert.rejects(loadDevelopmentSecret(dataDir, log), (error: unknown) => {
    return error instanceof StartupError && /remove it/.test(error.message);
  });
});

test("the development key is made on the first start only", async (t) => {
  const { dataDir, log } = await setUp(t);
  const apiKeys = memoryKeys();
  const first = await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log });
  assert.equal(first?.created, true);
  const file = path.join(dataDir, "development-key");
  assert.equal(await modeOf(file), 0o600);
  assert.equal((await readFile(file, "utf8")).trim(), first?.secret);
  const [key] = await apiKeys.list();
  assert.deepEqual([key?.name, key?.scopes, key?.sourceId], ["development", ["admin"], 4]);

  const second = await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log });
  assert.deepEqual(second, { secret: first?.secret, created: false });
  assert.equal((await apiKeys.list()).length, 1);
});

test("a development key that a person revoked or removed is not made again", async (t) => {
  const { dataDir, log } = await setUp(t);
  const apiKeys = memoryKeys();
  await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log });
  await apiKeys.revoke(1);
  assert.equal(
    await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log }),
    undefined,
  );
  await rm(path.join(dataDir, "development-key"));
  assert.equal(
    await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log }),
    undefined,
  );
  assert.equal((await apiKeys.list()).length, 1);
});

test("a new database gets a new development key although the file of the old one is there", async (t) => {
  const { dataDir, log } = await setUp(t);
  await ensureDevelopmentKey({ dataDir, apiKeys: memoryKeys(), sourceId: () => Promise.resolve(4), log });
  const apiKeys = memoryKeys();
  const made = await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(5), log });
  assert.equal(made?.created, true);
  assert.notEqual(await apiKeys.verify(made?.secret ?? ""), undefined);
});

test("a first start that ended halfway is repeated, and its lost key revoked", async (t) => {
  const { dataDir, log } = await setUp(t);
  const apiKeys = memoryKeys();
  await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log });
  await writeFile(path.join(dataDir, "development-key"), "");
  const made = await ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log });
  assert.equal(made?.created, true);
  const keys = await apiKeys.list();
  assert.deepEqual(
    keys.map((key) => key.revokedAt === undefined),
    [false, true],
  );
});

test("a failure to create the key leaves no file behind", async (t) => {
  const { dataDir, log } = await setUp(t);
  const apiKeys = { ...memoryKeys(), create: () => Promise.reject(new Error("database is gone")) };
  await assert.rejects(
    ensureDevelopmentKey({ dataDir, apiKeys, sourceId: () => Promise.resolve(4), log }),
    /database is gone/,
  );
  await assert.rejects(stat(path.join(dataDir, "development-key")), { code: "ENOENT" });
});

test("loopback is 127.0.0.0/8, ::1 and localhost, and nothing else", () => {
  const near = [
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "LocalHost",
  ];
  const far = ["0.0.0.0", "::", "128.0.0.1", "::2", "localhost.example", "127.0.0.1.example", "", "10.0.0.1"];
  assert.deepEqual(near.filter(isLoopback), near);
  assert.deepEqual(far.filter(isLoopback), []);
});

test("a development secret binds the server to this machine, a configured one does not", () => {
  const unset = { jwtSecret: undefined, jwtJwksUrl: undefined };
  requireSafeBinding({ host: "127.0.0.1", ...unset });
  requireSafeBinding({ host: "0.0.0.0", ...unset, jwtSecret: "s".repeat(32) });
  requireSafeBinding({ host: "0.0.0.0", ...unset, jwtJwksUrl: new URL("https://login.example/keys") });
  assert.throws(
    () => requireSafeBinding({ host: "0.0.0.0", ...unset }),
    (error: unknown) => error instanceof StartupError && /set JWT_SECRET/.test(error.message),
  );
});
