import type { Client } from "pg";
import { backoffMs, pause } from "../lib/backoff.ts";
import type { DbAddress } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";
import { type Signal, type Signals, createLocalSignals } from "./signals.ts";

const channel = "signals";
/** Signals gather for this long, milliseconds, before other processes are told: one NOTIFY for all of them. */
export const sendEveryMs = 50;
/** PostgreSQL refuses notices of 8,000 bytes. */
export const noticeBytesMax = 7_900;
/** Notices of one window; what does not fit is dropped, as signals may be. */
export const noticesMax = 20;
const retry = { baseMs: 200, factor: 2, maxMs: 10_000 } as const;

/**
 * Signals between processes over the database's NOTIFY. This process's own listeners are called at once; others hear
 * of it within some 50 ms, of one topic, name and key only the newest, and not at all while the database is away.
 */
export function createPostgresSignals(
  address: DbAddress,
  options: { readonly log: Logger; readonly node: string },
): Signals {
  const { log, node } = options;
  const local = createLocalSignals();
  const unsent = new Map<string, string>();
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  const session = new Session(address, {
    name: "signals",
    log,
    pipeline: true,
    statementTimeoutMs: 5_000,
    onConnect: async (client: Client) => {
      client.on("notification", ({ payload }) => hear(payload ?? ""));
      client.on("end", () => void listen());
      await client.query(`listen ${channel}`);
    },
  });

  function hear(payload: string): void {
    const end = payload.indexOf(" ");
    if (payload.slice(0, end) === node) return;
    for (const signal of signalsOf(payload.slice(end + 1))) local.send(signal);
  }

  /** Listens as long as it can be: without a listener, what other processes say is lost. */
  async function listen(): Promise<void> {
    for (let attempt = 1; !stopping.signal.aborted; attempt++) {
      try {
        await session.connect();
        return;
      } catch (error) {
        log.debug({ err: error }, "signals of other processes cannot be heard");
        await pause(backoffMs(attempt, retry), stopping.signal);
      }
    }
  }

  function flush(): void {
    timer = undefined;
    const notices = noticesOf([...unsent.values()], noticeBytesMax - node.length - 1);
    unsent.clear();
    for (const notice of notices.slice(0, noticesMax)) {
      session
        .query({ text: "select pg_notify($1, $2)", values: [channel, `${node} ${notice}`] })
        .catch((error: unknown) => log.debug({ err: error }, "signals were lost"));
    }
  }

  void listen();
  return {
    send: (signal) => {
      local.send(signal);
      if (stopping.signal.aborted) return;
      const key = JSON.stringify([signal.topic, signal.name, signal.key]);
      unsent.delete(key);
      unsent.set(key, JSON.stringify(signal));
      timer ??= setTimeout(flush, sendEveryMs);
    },
    onSignal: (listener) => local.onSignal(listener),
    close: async () => {
      stopping.abort();
      clearTimeout(timer);
      // What was said last counts the most: that this process goes. The session ends after what is on its way.
      if (session.connected) flush();
      await local.close();
      await session.close();
    },
  };
}

/** The signals of a notice. What is none is left out: another version of the server may have sent it. */
export function signalsOf(notice: string): readonly Signal[] {
  try {
    const list: unknown = JSON.parse(notice);
    return Array.isArray(list) ? list.filter(isSignal) : [];
  } catch {
    return [];
  }
}

function isSignal(value: unknown): value is Signal {
  if (typeof value !== "object" || value === null) return false;
  const { topic, name, key } = value as Partial<Record<keyof Signal, unknown>>;
  return typeof topic === "string" && typeof name === "string" && typeof key === "string";
}

/** JSON lists of as many signals as fit; one that fits nowhere is left out. */
export function noticesOf(signals: readonly string[], bytesMax: number): readonly string[] {
  const notices: string[] = [];
  let list: string[] = [];
  let bytes = 2;
  for (const signal of signals) {
    const more = Buffer.byteLength(signal) + 1;
    if (more + 2 > bytesMax) continue;
    if (bytes + more > bytesMax) {
      notices.push(`[${list.join(",")}]`);
      list = [];
      bytes = 2;
    }
    list.push(signal);
    bytes += more;
  }
  if (list.length > 0) notices.push(`[${list.join(",")}]`);
  return notices;
}
