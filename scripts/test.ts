import { spawn } from "node:child_process";
import { glob, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { DbAddress } from "../src/lib/db.ts";
import type { Logger } from "../src/lib/logger.ts";

/**
 * Runs the tests: all of them, those that need nothing (`unit`), those that need PostgreSQL (`pg`), or the files that
 * are named. `x.process.test.ts` starts processes of its own and runs only with all. PostgreSQL is the embedded one,
 * in a directory that is gone afterwards, with a migrated template database that each test file clones.
 */
const [mode, ...rest] = process.argv.slice(2);
const files = await chooseFiles();
const needsPostgres = files.some((file) => file.endsWith(".pg.test.ts"));
process.exitCode = needsPostgres ? await withPostgres(runTests) : await runTests({});

async function chooseFiles(): Promise<readonly string[]> {
  if (mode !== undefined && mode !== "unit" && mode !== "pg") return [mode, ...rest];
  const all: string[] = [];
  for await (const file of glob("{src,protocol,sdk,test,scripts,bench}/**/*.test.ts", {
    exclude: ["**/node_modules/**"],
  })) {
    all.push(file);
  }
  if (mode === "unit") return all.filter((file) => !/\.(pg|process)\.test\.ts$/.test(file)).sort();
  if (mode === "pg") return all.filter((file) => file.endsWith(".pg.test.ts")).sort();
  return all.sort();
}

async function withPostgres(run: (env: Record<string, string>) => Promise<number>): Promise<number> {
  // Unit tests need none of this, and start sooner without it.
  const [{ startEmbedded }, { createLogger }] = await Promise.all([
    import("../src/embedded/embedded.ts"),
    import("../src/lib/logger.ts"),
  ]);
  const dataDir = await mkdtemp(path.join(os.tmpdir(), "tidings-test-"));
  const log = createLogger("warn");
  // Tests lose nothing that matters when the machine fails, so nothing waits for the disk.
  const settings = { fsync: "off", full_page_writes: "off", max_connections: "200" };
  const embedded = await startEmbedded({ dataDir, user: undefined, log, settings });
  try {
    await createTemplate(embedded.address, log);
    return await run({ TIDINGS_TEST_PG: embedded.address.host });
  } finally {
    await embedded.stop();
    if (process.env["KEEP_DB"] !== "1") await rm(dataDir, { recursive: true, force: true });
    else console.log(`kept the databases of this run: DATA_DIR=${dataDir} npm start brings them up again`);
  }
}

async function createTemplate(address: DbAddress, log: Logger): Promise<void> {
  const [{ openDb }, { migrate, readMigrations }, { migrationsDir }, { templateDatabase }] =
    await Promise.all([
      import("../src/lib/db.ts"),
      import("../src/lib/migrate.ts"),
      import("../src/foundation.ts"),
      import("../test/harness.ts"),
    ]);
  const admin = openDb({ ...address, database: "postgres" }, { poolMax: 1, log });
  await admin.query(`create database ${templateDatabase}`);
  await admin.close();
  const template = openDb({ ...address, database: templateDatabase }, { poolMax: 2, log });
  await migrate(template, await readMigrations(migrationsDir));
  await template.close();
}

function runTests(env: Record<string, string>): Promise<number> {
  // Unit tests share a process: starting one for each file would take most of their time.
  const isolation = mode === "unit" ? ["--test-isolation=none"] : [];
  const child = spawn(process.execPath, ["--test", "--test-timeout=180000", ...isolation, ...files], {
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  return new Promise((resolve) => {
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
