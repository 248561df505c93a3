import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { StartupError } from "../lib/errors.ts";
import { isLoopback, loadDevelopmentSecret, placeOfHeaders, requireSafeBinding } from "./development.ts";

async function setUp(t: TestContext) {
  const parent = await mkdtemp(path.join(tmpdir(), "tidings-development-"));
  t.after(() => rm(parent, { recursive: true }));
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  return { dataDir: path.join(parent, "data"), lines, log };
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

test("whatever proxies, balancers and content networks add says that a request was passed on, and nothing that programs send", () => {
  const added = [
    "Forwarded",
    "Forwarded-For",
    "Via",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forward-For",
    "X-Real-IP",
    "X-Original-Host",
    "X-Original-Forwarded-For",
    "X-Client-IP",
    "Client-IP",
    "True-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "CF-Ray",
    "CDN-Loop",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "X-Envoy-External-Address",
    "X-Amzn-Trace-Id",
    "X-Azure-ClientIP",
    "X-Varnish",
    "Max-Forwards",
    "Proxy-Connection",
  ];
  const own = ["Host", "Connection", "User-Agent", "Authorization", "X-Api-Key", "X-Request-Id", "Origin"];
  const isForwarded = (name: string) => placeOfHeaders({ [name.toLowerCase()]: "" }).forwarded;
  assert.deepEqual(added.filter(isForwarded), added);
  assert.deepEqual(own.filter(isForwarded), []);
});
