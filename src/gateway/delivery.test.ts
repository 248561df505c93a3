import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Type } from "typebox";
import type { EntryFrame, ServerFrame } from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { jsonText } from "../eventlog/eventlog.ts";
import { MemoryEventLog } from "../eventlog/memory.ts";
import { partitionOf } from "../eventlog/murmur2.ts";
import { createLogger } from "../lib/logger.ts";
import { CatchUp } from "./catch-up.ts";
import { Hub } from "./hub.ts";
import { Past } from "./past.ts";
import { TestReader } from "./reader.fixture.ts";
import { asRefusal } from "./refusals.ts";
import { type Subscribed, subscribe } from "./subscribing.ts";
import { Tail } from "./tail.ts";

const topics = ["room/1", "room/2", "room/3"];
const kinds = new Map([
  [
    "room",
    {
      entries: { said: Type.Unknown(), "member.removed": Type.Unknown() },
      revokes: { "member.removed": (data: unknown) => [(data as { user_id: number }).user_id] },
    },
  ],
]);

/** A log, a tail and a hub with small rings; people are members of everything until they are removed. */
async function open(ring: { entriesMax: number; bytesMax: number }) {
  const log = createLogger("silent");
  const eventlog = new MemoryEventLog({ partitions: 2, clock: { now: () => 0 } });
  const from = await Tail.begin(eventlog);
  const generation = (): number => tail.generation;
  const hub = new Hub({ generation, heads: from, ring, kinds });
  const past = new Past({ eventlog, log }, { entriesMax: 50, bytesMax: 100_000, scanBytesMax: 100_000 });
  const catchUp = new CatchUp({ hub, past, generation });
  const lost = { times: 0 };
  const onLost = (partition: number, head: number): void => {
    lost.times++;
    hub.lose(partition, head, (subscription) => catchUp.skip(subscription));
  };
  const tail = new Tail({ eventlog, hub, log, onLost }, from);
  await tail.start();
  const removed = new Set<string>();
  const append = (topic: string, type: string, data: unknown): Promise<unknown> =>
    eventlog.append([{ id: uuidv7(), topic, type, actor: "system", data: jsonText(data) }]);
  return {
    hub,
    removed,
    append,
    lost,
    eventlog,
    offsets: () => tail.offsets(),
    generation,
    subscribing: {
      hub,
      catchUp,
      generation,
      heads: () => eventlog.heads(),
      asRefusal,
      authorize: (actor: { readonly id: number }, topic: string) =>
        removed.has(`${actor.id} ${topic}`) ? Promise.reject(new Error("no")) : Promise.resolve(),
    },
    onRoom: (reader: TestReader) => {
      catchUp.runAll(reader, reader.subscriptions.values());
    },
    close: async () => {
      await tail.stop();
      await eventlog.close();
    },
  };
}

type Gateway = Awaited<ReturnType<typeof open>>;

/** A client that comes and goes: what it has, by topic, is all it remembers. */
class Client {
  readonly id: number;
  readonly #gateway: Gateway;
  readonly #pages: ReadonlyMap<string, readonly number[]>;
  /** Offset of the last entry that the client has, or knows that it need not have. */
  readonly #places = new Map<string, number>();
  readonly #positions = new Map<string, string>();
  readonly gone = new Set<string>();
  /**
   * Topics of which what the client has may be lost, by the generation in which the gateway had told it: it must be told of a
   * later one. The log may have begun that already, for an earlier loss.
   */
  readonly #unsure = new Map<string, number>();
  limited = 0;
  entries = 0;
  #reader: TestReader | undefined;
  #seen = 0;

  constructor(id: number, gateway: Gateway, pages: ReadonlyMap<string, readonly number[]>) {
    this.id = id;
    this.#gateway = gateway;
    this.#pages = pages;
  }

  async connect(): Promise<void> {
    this.disconnect();
    const reader = new TestReader({ userId: this.id, onRoom: this.#gateway.onRoom });
    this.#reader = reader;
    this.#seen = 0;
    const wanted = new Map(
      topics.filter((topic) => !this.gone.has(topic)).map((topic) => [topic, this.#positions.get(topic)]),
    );
    const actor = { id: this.id } as never;
    await subscribe(this.#gateway.subscribing, reader, { actor, wanted }, (subscribed) => {
      if (this.#reader === reader) this.#answered(subscribed);
    });
  }

  disconnect(): void {
    this.check();
    const reader = this.#reader;
    this.#reader = undefined;
    for (const subscription of reader?.subscriptions.values() ?? []) this.#gateway.hub.leave(subscription);
    reader?.subscriptions.clear();
  }

  stall(): void {
    this.#reader?.stall();
  }

  drain(): void {
    this.#reader?.drain();
    this.check();
  }

  /** Looks at every frame that has come since. */
  check(): void {
    const frames = this.#reader?.frames ?? [];
    for (const frame of frames.slice(this.#seen)) this.#take(frame);
    this.#seen = frames.length;
  }

  /** What the client has of the topic, or is about to get, may no longer be in the log. */
  doubt(topic: string, generation: number): void {
    this.#unsure.set(topic, generation);
  }

  get isComplete(): boolean {
    this.check();
    return topics.every((topic) => this.gone.has(topic) || (!this.#unsure.has(topic) && this.#hasAll(topic)));
  }

  #hasAll(topic: string): boolean {
    return (this.#pages.get(topic) ?? []).every((offset) => offset <= (this.#places.get(topic) ?? -1));
  }

  /** Up to the position it is told to have everything, in the generation of the position. */
  #told(topic: string, position: string): void {
    const generation = this.#unsure.get(topic);
    if (generation !== undefined && Number(position.split("-")[0]) > generation) {
      this.#unsure.delete(topic);
      this.#places.delete(topic);
    }
    this.#skipTo(topic, position);
  }

  #answered({ topics: subscribed, refused }: Subscribed): void {
    for (const topic of Object.keys(refused)) this.gone.add(topic);
    for (const [topic, { position, limited }] of Object.entries(subscribed)) {
      // Without `limited`, whoever gave a position gets what came after it.
      if (limited === true) this.limited++;
      if (limited === true || !this.#positions.has(topic)) this.#told(topic, position);
    }
  }

  #take(frame: ServerFrame): void {
    if (frame.type === "entry") return this.#entry(frame);
    if (frame.type === "limited") {
      this.limited++;
      this.#told(frame.topic, frame.position);
    } else if (frame.type === "removed") this.gone.add(frame.topic);
    else if (frame.type === "positions") {
      for (const [topic, position] of Object.entries(frame.positions)) this.#nothingBefore(topic, position);
    } else assert.fail(`unexpected frame ${frame.type}`);
  }

  #entry({ topic, position, entry }: EntryFrame): void {
    assert.ok(!this.gone.has(topic), `${topic} was taken away, and an entry came`);
    if (this.#unsure.has(topic)) return void this.#positions.set(topic, position);
    const offset = offsetOf(position);
    const place = this.#places.get(topic) ?? -1;
    const next = (this.#pages.get(topic) ?? []).find((one) => one > place);
    assert.equal(offset, next, `${topic}: after ${place} came ${offset} (${entry.type})`);
    this.#places.set(topic, offset);
    this.#positions.set(topic, position);
    this.entries++;
  }

  #skipTo(topic: string, position: string): void {
    const isBack = offsetOf(position) < (this.#places.get(topic) ?? -1);
    assert.ok(!isBack || this.#unsure.has(topic), "a place moved back");
    this.#places.set(topic, offsetOf(position));
    this.#positions.set(topic, position);
  }

  #nothingBefore(topic: string, position: string): void {
    if (this.#unsure.has(topic)) return;
    const place = this.#places.get(topic) ?? -1;
    const missed = (this.#pages.get(topic) ?? []).filter((one) => one > place && one <= offsetOf(position));
    assert.deepEqual(missed, [], `${topic}: told that nothing happened`);
    this.#skipTo(topic, position);
  }
}

function offsetOf(position: string): number {
  return Number(position.split("-")[2]);
}

const clients = 4;
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("say" as const), topic: fc.constantFrom(...topics) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("flood" as const), topic: fc.constantFrom(...topics) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("connect" as const, "disconnect" as const, "stall" as const, "drain" as const),
      client: fc.nat(clients - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("remove" as const),
      client: fc.nat(clients - 1),
      topic: fc.constantFrom(...topics),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("wait" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("lose" as const),
      partition: fc.nat(1),
      entries: fc.integer({ min: 1, max: 20 }),
    }),
  },
);

/** The log loses its newest entries, as after a failover. Whoever may have had some of them must be told. */
async function lose(
  { eventlog, offsets, generation }: Gateway,
  clients: readonly Client[],
  pages: Map<string, number[]>,
  { partition, entries }: { readonly partition: number; readonly entries: number },
): Promise<void> {
  const heads = await eventlog.heads();
  const head = Math.max(0, (heads[partition] ?? 0) - entries);
  const wereRead = (offsets()[partition] ?? 0) > head;
  for (const topic of topics) {
    for (const client of clients) if (wereRead) client.doubt(topic, generation());
    if (partitionOf(topic, eventlog.partitions) !== partition) continue;
    pages.set(
      topic,
      (pages.get(topic) ?? []).filter((offset) => offset <= head),
    );
  }
  eventlog.loseAfter(partition, head);
}

test("whatever readers do, each gets every entry of its topics once and in order, or is told what it missed", async () => {
  const totals = { entries: 0, limited: 0, removed: 0, lost: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 150, size: "max" }), async (steps) => {
      const gateway = await open({ entriesMax: 12, bytesMax: 100_000 });
      const pages = new Map<string, number[]>(topics.map((topic) => [topic, []]));
      const all = Array.from({ length: clients }, (_, i) => new Client(i + 1, gateway, pages));
      const pending: Promise<void>[] = [];
      const append = async (topic: string, type: string, data: unknown): Promise<void> => {
        const [position] = (await gateway.append(topic, type, data)) as string[];
        // The log calls its readers before the append is answered, but they read later.
        pages.get(topic)?.push(offsetOf(position ?? ""));
      };
      try {
        for (const one of steps) {
          if (one.do === "say") await append(one.topic, "said", {});
          else if (one.do === "flood") for (let i = 0; i < 60; i++) await append(one.topic, "said", { i });
          else if (one.do === "wait") await new Promise((resolve) => setImmediate(resolve));
          else if (one.do === "lose") await lose(gateway, all, pages, one);
          else if (one.do === "remove") {
            gateway.removed.add(`${one.client + 1} ${one.topic}`);
            await append(one.topic, "member.removed", { user_id: one.client + 1 });
          } else {
            const client = all[one.client];
            if (one.do === "connect") pending.push(client?.connect() ?? Promise.resolve());
            else client?.[one.do]();
          }
        }
        await Promise.all(pending);
        for (const client of all) await client.connect();
        for (let i = 0; i < 500 && !all.every((client) => client.isComplete); i++) {
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        for (const client of all)
          assert.ok(client.isComplete, `client ${client.id} does not have everything`);
        for (const client of all) {
          totals.entries += client.entries;
          totals.limited += client.limited;
          totals.removed += client.gone.size;
        }
        totals.lost += gateway.lost.times;
      } finally {
        for (const client of all) client.disconnect();
        assert.equal(gateway.hub.topics, 0, "the hub forgets topics that nobody reads");
        await gateway.close();
      }
    }),
    { numRuns: 150 },
  );
  // A property that nothing happens under proves nothing.
  assert.ok(
    totals.entries > 500 && totals.limited > 5 && totals.removed > 5 && totals.lost > 5,
    JSON.stringify(totals),
  );
});
