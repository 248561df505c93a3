import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import type { Layout } from "./layout.ts";

const tailBytes = 16_384;

/**
 * Messages of another postmaster's presence. PostgreSQL gives no code to them, and the cluster's messages are in
 * English whatever the system's language.
 */
const occupied =
  /lock file ".*" (already exists|is empty)|pre-existing shared memory block .* is still in use/;

export type StartFailure = {
  /** What PostgreSQL gave as the reason, in one line; empty if it gave none. */
  readonly reason: string;
  /** Another postmaster, or what is left of one, still holds the cluster. */
  readonly occupied: boolean;
};

/** What one start prints until PostgreSQL's log collector has taken over. */
export type StartLog = { readonly fd: number; explain(): StartFailure; close(): void };

/** A file without a name: each start has its own, and none is ever left behind. */
export function openStartLog(layout: Layout): StartLog {
  const sinceMs = Date.now();
  const name = path.join(layout.dataDir, `postgres-start-${randomBytes(4).toString("hex")}.log`);
  const fd = fs.openSync(name, "ax+", 0o600);
  fs.unlinkSync(name);
  return {
    fd,
    explain: () => {
      const early = tail(fd);
      const reason =
        lastFault(early) ??
        lastFault(newestLog(layout.logs, sinceMs)) ??
        early.trim().split("\n").at(-1) ??
        "";
      return { reason, occupied: occupied.test(early) };
    },
    close: () => fs.closeSync(fd),
  };
}

function lastFault(text: string): string | undefined {
  return [...text.matchAll(/(?:FATAL|PANIC): +(.+)$/gm)].at(-1)?.[1];
}

function newestLog(logs: string, sinceMs: number): string {
  const newest = fs
    .globSync("*.log", { cwd: logs })
    .map((name) => path.join(logs, name))
    .map((file) => ({ file, changedMs: fs.statSync(file).mtimeMs }))
    .filter(({ changedMs }) => changedMs >= sinceMs)
    .sort((a, b) => a.changedMs - b.changedMs)
    .at(-1);
  if (newest === undefined) return "";
  const fd = fs.openSync(newest.file, "r");
  try {
    return tail(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function tail(fd: number): string {
  const { size } = fs.fstatSync(fd);
  const buffer = Buffer.alloc(Math.min(size, tailBytes));
  const length = fs.readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  return buffer.toString("utf8", 0, length);
}
