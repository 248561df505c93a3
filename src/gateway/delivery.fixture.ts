import type { TestContext } from "node:test";
import { Type } from "typebox";
import type { ServerFrame } from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import type { Actor, UserActor } from "../access/actor.ts";
import { type Entry, type PartitionGrowth, type ReadResult, jsonText } from "../eventlog/eventlog.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";
import { createLogger } from "../lib/logger.ts";
import { CatchUp, type CatchUpDeps } from "./catch-up.ts";
import { Hub, type HubOptions } from "./hub.ts";
import { Past, type PastBounds } from "./past.ts";
import { asRefusal } from "./refusals.ts";
import type { RingBounds } from "./ring.ts";
import { type Subscribed, type Subscriber, subscribe } from "./subscribing.ts";
import { Tail, type TailDeps } from "./tail.ts";

const kinds: HubOptions["kinds"] = new Map([
  [
    "room",
    {
      entries: { said: Type.Unknown(), "member.removed": Type.Unknown() },
      revokes: { "member.removed": (data: unknown) => [(data as { user_id: number }).user_id] },
    },
  ],
]);

const silent = createLogger("silent");

export type DeliveryOptions<Log extends MemoryEventLog> = {
  readonly eventlog: Log;
  readonly ring?: RingBounds;
  readonly pastBounds?: PastBounds;
  readonly kinds?: HubOptions["kinds"];
  readonly onEntry?: (entry: Entry) => void;
  readonly onFault?: (error: unknown, entry: Entry) => void;
  readonly authorize?: (actor: Actor, topic: string) => Promise<void>;
  /** What the tail hands its entries to, made of the hub. */
  readonly takeBy?: (hub: Hub) => TailDeps["hub"];
  /** What readers' past is read from, made of the real one. */
  readonly pastBy?: (past: Past) => CatchUpDeps["past"];
};

/** A log, a tail, a hub and what brings readers back, put together as the gateway does. */
export async function openDelivery<Log extends MemoryEventLog>(options: DeliveryOptions<Log>) {
  const { eventlog, ring = { entriesMax: 1_000, bytesMax: 1_000_000 }, onEntry, onFault } = options;
  const { pastBounds = { entriesMax: 5_000, bytesMax: 1e7, scanBytesMax: 1e8 } } = options;
  const from = await Tail.begin(eventlog);
  const generation = (): number => tail.generation;
  const hub = new Hub({
    generation,
    heads: from,
    ring,
    kinds: options.kinds ?? kinds,
    ...(onEntry === undefined ? {} : { onEntry }),
    ...(onFault === undefined ? {} : { onFault }),
  });
  const past = new Past({ eventlog, log: silent }, pastBounds);
  const catchUp = new CatchUp({ hub, past: options.pastBy?.(past) ?? past, generation });
  /** The heads at which partitions were begun anew, in order. */
  const lost: number[] = [];
  const onLost = (partition: number, head: number): void => {
    lost.push(head);
    hub.lose(partition, head, (subscription) => catchUp.skip(subscription));
  };
  const tail = new Tail({ eventlog, hub: options.takeBy?.(hub) ?? hub, log: silent, onLost }, from);
  await tail.start();
  const subscribing = {
    hub,
    catchUp,
    generation,
    heads: () => eventlog.heads(),
    asRefusal,
    authorize: options.authorize ?? (() => Promise.resolve()),
  };
  return {
    eventlog,
    hub,
    catchUp,
    tail,
    lost,
    subscribing,
    append: (topic: string, data: unknown, type = "said") =>
      eventlog.append([{ id: uuidv7(), topic, type, actor: "system", data: jsonText(data) }]),
    /** Entries of one topic with these texts, in one go. */
    say: (topic: string, ...texts: readonly string[]) =>
      eventlog.append(
        texts.map((text) => ({ id: uuidv7(), topic, type: "said", actor: "system", data: jsonText(text) })),
      ),
    /** Subscribes to topics, from now or from an offset of the first generation, and answers what became of them. */
    subscribe: async (
      reader: Subscriber,
      wanted: Readonly<Record<string, string | undefined>>,
    ): Promise<Subscribed> => {
      let answer: Subscribed = { topics: {}, refused: {} };
      await subscribe(
        subscribing,
        reader,
        { actor: person(), wanted: new Map(Object.entries(wanted)) },
        (subscribed) => {
          answer = subscribed;
        },
      );
      return answer;
    },
    onRoom: (reader: Subscriber) => catchUp.runAll(reader, reader.subscriptions.values()),
    close: async () => {
      await tail.stop();
      await eventlog.close();
    },
  };
}

export type Delivery<Log extends MemoryEventLog = MemoryEventLog> = Awaited<
  ReturnType<typeof openDelivery<Log>>
>;

export function memoryLog(partitions = 1): MemoryEventLog {
  return new MemoryEventLog({ partitions, clock: { now: () => 0 } });
}

export function person(parts: Partial<UserActor> = {}): UserActor {
  return {
    kind: "user",
    id: 1,
    username: "ann",
    role: "user",
    sessionId: undefined,
    expiresAt: Date.parse("2100-01-01T00:00:00Z"),
    scopes: new Set(),
    ...parts,
  };
}

/** Makes so much time pass between any two looks at it that no entry waits to be written together with the next. */
export function skipWindows(t: TestContext): void {
  let nowMs = 0;
  setNow(t, () => (nowMs += 1_000));
}

const ownNow = new WeakSet<TestContext>();

/**
 * What `performance.now` says until the test ends. By hand: of two mocks of one method the test runner puts the first
 * back in the end, and a mock keeps every call of it for ever.
 */
export function setNow(t: TestContext, now: () => number): void {
  Object.defineProperty(performance, "now", { value: now, configurable: true, writable: true });
  if (ownNow.has(t)) return;
  ownNow.add(t);
  t.after(() => Reflect.deleteProperty(performance, "now"));
}

/** Lets everything go on that waits for nothing but its turn. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** What came: the data of entries, and of all other frames the type, with the position if it names one. */
export function heard({ frames }: { readonly frames: readonly ServerFrame[] }): unknown[] {
  return frames.map((frame) => {
    if (frame.type === "entry") return frame.entry.data;
    return "position" in frame ? `${frame.type}@${frame.position}` : frame.type;
  });
}

/** A log whose answers a test can hold back. */
export class HeldLog extends MemoryEventLog {
  /** The first offsets that were asked for, in order. */
  readonly readsAfter: number[] = [];
  /** How often it was asked where it ends. */
  timesAsked = 0;
  /** Questions for its end that fail. */
  failures = 0;
  /** Whether it says that what was read may be gone. */
  readonly #doubts: boolean;
  readonly #growth = new Set<(growth: readonly PartitionGrowth[]) => void>();
  #heldRead: Promise<void> | undefined;
  #heldHeads: { readonly until: Promise<void>; readonly as: "of then" | "of now" } | undefined;

  constructor({ partitions = 1, doubts = true } = {}) {
    super({ partitions, clock: { now: () => 0 } });
    this.#doubts = doubts;
  }

  override async read(...args: Parameters<MemoryEventLog["read"]>): Promise<ReadResult> {
    this.readsAfter.push(args[1]);
    const held = this.#heldRead;
    this.#heldRead = undefined;
    const found = await super.read(...args);
    await held;
    return found;
  }

  override async heads(): Promise<readonly number[]> {
    this.timesAsked++;
    if (this.failures > 0) {
      this.failures--;
      throw new Error("the database is away");
    }
    const held = this.#heldHeads;
    this.#heldHeads = undefined;
    if (held?.as === "of then") await held.until;
    const heads = await super.heads();
    await held?.until;
    return heads;
  }

  override onGrowth(listener: (growth: readonly PartitionGrowth[]) => void): () => void {
    this.#growth.add(listener);
    const end = super.onGrowth(listener);
    return () => {
      this.#growth.delete(listener);
      end();
    };
  }

  override onDoubt(listener: () => void): () => void {
    return this.#doubts ? super.onDoubt(listener) : () => undefined;
  }

  /** The next read finds what is there when it is asked for, and is answered when the test says so. */
  holdNextRead(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#heldRead = promise;
    return resolve;
  }

  /** The next answer to where the log ends comes when the test says so: as it is now, or as it will be then. */
  holdNextHeads(as: "of then" | "of now"): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#heldHeads = { until: promise, as };
    return resolve;
  }

  /** Tells everybody of a head, as a notice does that was long on its way. */
  notice(partition: number, head: number): void {
    for (const listener of this.#growth) listener([{ partition, head }]);
  }

  /** What was read may be gone, or not. */
  doubt(): void {
    this.loseAfter(0, Number.MAX_SAFE_INTEGER);
  }
}
