import assert from "node:assert/strict";
import { type TestContext } from "node:test";
import { uuidv7 } from "../../../../protocol/ids.ts";
import { topics } from "../../../../protocol/topics.ts";
import { manualClock, openTestDatabase, testLog } from "../../../../test/harness.ts";
import { readConfig } from "../../../config.ts";
import type { Deps } from "../../../deps.ts";
import type { Entry } from "../../../eventlog/eventlog.ts";
import { partitionOf } from "../../../eventlog/murmur2.ts";
import { openLog } from "../../../eventlog/postgres.fixture.ts";
import { createWhoIsThere, knownAfterMs } from "../../../gateway/who-is-there.ts";
import { createMetrics } from "../../../observe/metrics.ts";
import type { NotifyRequest } from "../decide-notify.ts";
import { createPostgresStore } from "../postgres-store.ts";
import { followForPush, pushAfterMs } from "./follow.ts";
import { type PushHosts, createPushHosts } from "./hosts.ts";
import { PushSender, type SendDeps } from "./send.ts";
import { type Browser, type PushService, openPushService } from "./service.fixture.ts";
import { subscribePush } from "./subscriptions.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import type { NotificationStore } from "../store.ts";
import { createVapid } from "./vapid.ts";

/** Time until an answer that never comes is not waited for any more, milliseconds. */
const callMaxMs = 200;

export type PushStage = Awaited<ReturnType<typeof openPushStage>>;

/** Notifications, a push service, and all that leads from one to the other; the clock is moved by hand. */
export async function openPushStage(t: TestContext) {
  const db = await openTestDatabase(t);
  const clock = manualClock();
  const eventlog = await openLog(db, { clock });
  const service = await openPushService(t);
  const config = readConfig({});
  const store = createPostgresStore({ db, eventlog, clock, log: testLog });
  const metrics = createMetrics({ process: false });
  const online = new Set<number>();
  let uptimeMs = 0;
  const presence = createWhoIsThere(() => uptimeMs);
  presence.ask({ isOnline: (userId) => online.has(userId) });
  uptimeMs = knownAfterMs;
  const hosts = createPushHosts(["127.0.0.1", "localhost"]);
  const deps = { db, clock, log: testLog, metrics, presence, hosts, callMaxMs };
  /** A process: it remembers nothing of the one before. */
  const start = (parts: Partial<SendDeps> = {}): PushSender => {
    const vapid = createVapid({ db, config });
    return new PushSender({ ...deps, vapid, ...parts });
  };
  let sender = start();

  return {
    ...deps,
    config,
    service,
    store,
    online,
    presence,
    ...people({ ...deps, service, eventlog, store }),
    /** Moves the clock, by the time after which pushes are due unless told, and makes those that are. */
    pass: async (ms: number = pushAfterMs): Promise<void> => {
      clock.advance(ms);
      await sender.run(new AbortController().signal);
    },
    restart: () => {
      sender = start();
    },
    /** Another process. */
    start,
    /** For how long the process has known who is connected. */
    uptime: (ms: number) => {
      uptimeMs = ms;
    },
    run: (signal: AbortSignal) => sender.run(signal),
    due: async () => {
      const { rows } = await db.query<{ notification_id: string; due_at: Date; failures: number }>(
        "select notification_id, due_at, failures from notification_push_due order by due_at, notification_id",
      );
      return rows.map((row) => ({
        id: row.notification_id,
        inMs: row.due_at.getTime() - clock.now(),
        failures: row.failures,
      }));
    },
    outcomes: async (): Promise<Readonly<Record<string, number>>> => {
      const { values } = await metrics.webPushes.get();
      return Object.fromEntries(values.map(({ labels, value }) => [String(labels.outcome), value]));
    },
  };
}

type PeopleDeps = Pick<Deps, "db" | "clock" | "eventlog"> & {
  readonly hosts: PushHosts;
  readonly service: PushService;
  readonly store: NotificationStore;
};

/** Who is told things, and on which browsers. */
function people({ service, eventlog, store, ...deps }: PeopleDeps) {
  const { db, clock } = deps;
  const read = createReader(eventlog);
  let count = 0;
  return {
    person: async () => {
      const { rows } = await db.query<{ id: number }>(
        "insert into account_user (username, name) values ($1, $1) returning id",
        [`reader-${++count}`],
      );
      return rows[0]?.id ?? 0;
    },
    /** Signs somebody in. */
    signIn: async (userId: number): Promise<string> => {
      const id = uuidv7(clock.now());
      const times = [new Date(clock.now()), new Date(clock.now() + 30 * 86_400_000)];
      await db.query(
        "insert into account_session (id, user_id, renewed_at, created_at, expires_at) values ($1, $2, $3, $3, $4)",
        [id, userId, ...times],
      );
      return id;
    },
    subscribe: async (
      userId: number,
      { browser = service.browser(), sessionId }: { browser?: Browser; sessionId?: string } = {},
    ): Promise<Browser & { readonly id: number }> => {
      const { id } = await subscribePush(deps, { userId, sessionId }, browser.subscription);
      return { ...browser, id };
    },
    /** Tells somebody something, and has the consumer hear of it; resolves with its id. */
    tell: async (userId: number, parts: Partial<NotifyRequest> = {}): Promise<string> => {
      const [answer] = await store.notify([requestTo([userId], parts)]);
      const [id = ""] = idsOf(answer);
      await db.transaction((tx) =>
        read(userId).then((entries) => followForPush().handle(entries, tx, new AbortController().signal)),
      );
      return id;
    },
  };
}

/** What a browser was sent, in the order in which it came. */
export function pushedTo(browser: Browser, service: PushService) {
  return service.received
    .filter(({ endpoint }) => endpoint === browser.subscription.endpoint)
    .map(({ body }) => browser.decrypt(body));
}

export function messagesTo(browser: Browser, service: PushService): readonly string[] {
  return pushedTo(browser, service).map(({ message }) => message);
}

function createReader(eventlog: Deps["eventlog"]) {
  const ends = new Map<number, number>();
  return async (userId: number): Promise<readonly Entry[]> => {
    const topic = topics.user(userId);
    const partition = partitionOf(topic, eventlog.partitions);
    const { entries, end } = await eventlog.read(partition, ends.get(userId) ?? 0, 1_000);
    assert.ok(entries.length < 1_000);
    ends.set(userId, end);
    return entries.filter((entry) => entry.topic === topic && entry.type === "notification.created");
  };
}
