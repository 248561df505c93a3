import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { Client } from "pg";
import { type DbAddress, clientConfig } from "../lib/db.ts";
import { createLogger } from "../lib/logger.ts";
import { chooseAccount } from "./account.ts";
import { type Embedded, type EmbeddedOptions, type Sources, startEmbedded } from "./embedded.ts";
import { clusterDir } from "./layout.ts";
import { inspectPostmaster } from "./postmaster.ts";
import { describeProcess } from "./processes.ts";

/** Quick, and as unsafe as it sounds. */
export const quick = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };

export const asRoot = process.getuid?.() === 0;

const endings = new WeakMap<TestContext, (() => unknown)[]>();

/** Like `t.after`, but the last one that was registered runs first: databases end before their directories go. */
export function atEnd(t: TestContext, ending: () => unknown): void {
  const registered = endings.get(t);
  if (registered !== undefined) {
    registered.push(ending);
    return;
  }
  const list = [ending];
  endings.set(t, list);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const each of list.toReversed()) {
      try {
        await each();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "the test did not tidy up");
  });
}

/** A directory that every user may enter, so that root's PostgreSQL reaches what lies below it. */
export function tempDir(t: TestContext): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidings-embedded-"));
  fs.chmodSync(dir, 0o755);
  atEnd(t, () => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function optionsFor(dataDir: string): EmbeddedOptions {
  return { dataDir, user: undefined, log: createLogger("silent"), settings: quick };
}

/** Starts, and stops when the test ends. */
export async function start(t: TestContext, dataDir: string, sources?: Sources): Promise<Embedded> {
  const embedded = await startEmbedded(optionsFor(dataDir), sources);
  atEnd(t, () => embedded.stop());
  return embedded;
}

export async function query(address: DbAddress, statement: string): Promise<Record<string, string>[]> {
  const client = new Client(clientConfig(address, "test"));
  client.on("error", () => undefined);
  try {
    await client.connect();
    return (await client.query<Record<string, string>>(statement)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Asks `condition` until it holds. A rejection counts as "not yet". */
export async function until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition().catch(() => false))) {
    if (performance.now() >= deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function untilUsable(address: DbAddress, limitMs: number): Promise<void> {
  await until("database usable", limitMs, async () => (await query(address, "select 1")).length === 1);
}

export async function isAlive(pid: number): Promise<boolean> {
  return (await describeProcess(pid)) !== undefined;
}

export async function hasPostmaster(dataDir: string): Promise<boolean> {
  return (await inspectPostmaster(clusterDir(fs.realpathSync(dataDir)))).kind !== "none";
}

/** The processes of a leash: the shell that waits for postgres, and its watcher. */
export async function leashOf(postmaster: number): Promise<{ shell: number; watcher: number }> {
  const shell = (await describeProcess(postmaster))?.parent ?? 0;
  const children = await Promise.all(
    fs
      .readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(async (name) => ({ pid: Number(name), info: await describeProcess(Number(name)) })),
  );
  const watcher = children.find(({ pid, info }) => info?.parent === shell && pid !== postmaster)?.pid ?? 0;
  return { shell, watcher };
}

export type Holder = {
  readonly pid: number;
  readonly postmaster: number;
  readonly exited: Promise<unknown>;
  kill(): void;
};

const modules = {
  embedded: new URL("embedded.ts", import.meta.url).href,
  logger: new URL("../lib/logger.ts", import.meta.url).href,
};

/**
 * Starts and stops the database in another process, which is never root's: root's drops its rights once it has loaded
 * the sources, wherever they lie. Rejects when that fails.
 */
export async function startAsOrdinaryUser(dataDir: string, sources: Sources): Promise<void> {
  const { uid, gid } = asRoot ? chooseAccount(dataDir, undefined) : {};
  if (uid !== undefined && gid !== undefined) fs.chownSync(dataDir, uid, gid);
  const program = `
    const { startEmbedded } = await import(${JSON.stringify(modules.embedded)});
    const { createLogger } = await import(${JSON.stringify(modules.logger)});
    if (${uid !== undefined}) {
      process.setgroups([]);
      process.setgid(${gid});
      process.setuid(${uid});
    }
    const options = { dataDir: ${JSON.stringify(dataDir)}, user: undefined, log: createLogger("silent") };
    await using embedded = await startEmbedded(
      { ...options, settings: ${JSON.stringify(quick)} },
      ${JSON.stringify(sources)},
    );`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: "/",
    stdio: ["ignore", "inherit", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`the other process ended with ${code}`);
}

/** Another Node process that starts the database and then keeps it, or stops it at once and comes to its end. */
export async function startHolder(
  t: TestContext,
  dataDir: string,
  then: "keep" | "stop" = "keep",
): Promise<Holder> {
  const program = `
    const { startEmbedded } = await import(${JSON.stringify(modules.embedded)});
    const { createLogger } = await import(${JSON.stringify(modules.logger)});
    const embedded = await startEmbedded({
      dataDir: ${JSON.stringify(dataDir)}, user: undefined, log: createLogger("silent"),
      settings: ${JSON.stringify(quick)},
    });
    console.log(embedded.pid());
    ${then === "stop" ? "await embedded.stop();" : ""}`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  atEnd(t, async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await exited;
    }
    // Held by no living process any more, but perhaps by another holder.
    const cluster = clusterDir(fs.realpathSync(dataDir));
    await until("no orphan left", 10_000, async () => (await inspectPostmaster(cluster)).kind !== "orphan");
  });
  const [line] = (await Promise.race([
    once(child.stdout, "data"),
    exited.then(() => Promise.reject(new Error("the holder ended before it was ready"))),
  ])) as [Buffer];
  return {
    pid: child.pid ?? 0,
    postmaster: Number(line.toString()),
    exited,
    kill: () => child.kill("SIGKILL"),
  };
}
