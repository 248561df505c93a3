import { openTestDatabase, testLog } from "../../../test/harness.ts";
import type { Message } from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import type { Scope } from "../../../protocol/scopes.ts";
import type { KeyActor, UserActor } from "../../access/actor.ts";
import { readConfig } from "../../config.ts";
import type { Deps } from "../../deps.ts";
import type { Entry, EventLog } from "../../eventlog/eventlog.ts";
import { openLog } from "../../eventlog/postgres.fixture.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Db } from "../../lib/db.ts";
import { type Signals, createLocalSignals } from "../../gateway/signals.ts";
import { createMetrics } from "../../observe/metrics.ts";
import { type Adding, createAdding } from "./adding.ts";
import { type Erasing, createErasing } from "./erase.ts";
import { type SendMessage, createSend } from "./send.ts";

/** A database with a log and people, and what the commands of rooms need. */
export type Chat = Pick<Deps, "db" | "eventlog" | "clock" | "config" | "log" | "metrics" | "signals"> & {
  readonly send: SendMessage;
  readonly erasing: Erasing;
  readonly adding: Adding;
  /** A person who was not there before. */
  readonly person: (username: string, scopes?: readonly Scope[]) => Promise<UserActor>;
  readonly say: (actor: UserActor, roomId: number, content: string) => Promise<Message>;
  /** All that the log holds, partition by partition. */
  readonly entries: (topic?: string) => Promise<readonly Entry[]>;
};

/** Time passes with each look at it, so that no two things happen at the same one. */
export function tickingClock(startMs = Date.parse("2026-01-01T00:00:00Z")): Clock {
  let now = startMs;
  return { now: () => ++now };
}

export async function openChat(overrides: { clock?: Clock; signals?: Signals } = {}): Promise<Chat> {
  const db = await openTestDatabase();
  const eventlog = await openLog(db);
  const deps = {
    db,
    eventlog,
    clock: overrides.clock ?? tickingClock(),
    config: readConfig({}),
    log: testLog,
    metrics: createMetrics({ process: false }),
    signals: overrides.signals ?? createLocalSignals(),
  };
  const send = createSend(deps);
  return {
    ...deps,
    send,
    erasing: createErasing(deps),
    adding: createAdding(deps.clock),
    person: (username, scopes = []) => addPerson(db, username, scopes),
    say: async (actor, room_id, content) =>
      (await send(actor, { room_id, client_msg_id: uuidv7(), content })).message,
    entries: (topic) => readAll(eventlog, topic),
  };
}

export async function addPerson(db: Db, username: string, scopes: readonly Scope[] = []): Promise<UserActor> {
  const { rows } = await db.query<{ id: number }>(
    "insert into account_user (username, name) values ($1, $1) returning id",
    [username],
  );
  return {
    kind: "user",
    id: rows[0]?.id ?? 0,
    username,
    role: "user",
    sessionId: undefined,
    expiresAt: Number.MAX_SAFE_INTEGER,
    scopes: new Set(scopes),
  };
}

/** A program that manages rooms. */
export const manager: KeyActor = {
  kind: "key",
  id: 1,
  name: "manager",
  scopes: new Set<Scope>(["chat:manage"]),
  sourceId: undefined,
};

async function readAll(eventlog: EventLog, topic?: string): Promise<readonly Entry[]> {
  const heads = await eventlog.heads();
  const found: Entry[] = [];
  for (const [partition, head] of heads.entries()) {
    for (let after = 0; after < head;) {
      const { entries, end } = await eventlog.read(partition, after, 1_000);
      found.push(...entries);
      after = end;
    }
  }
  return topic === undefined ? found : found.filter((entry) => entry.topic === topic);
}
