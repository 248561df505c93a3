import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Static } from "typebox";
import type { SeedPush, SeedReadAck } from "../../../protocol/notifications.ts";
import type { UserActor } from "../../access/actor.ts";
import { type Entry, parseData } from "../../eventlog/eventlog.ts";
import { partitionOf } from "../../eventlog/murmur2.ts";
import { openBroadcastStage } from "./broadcasts/broadcasts.fixture.ts";
import { createPlain } from "./plain.ts";
import { createReplay } from "./replay.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";
import { replayPageRows } from "./store.ts";

const never = new AbortController().signal;
const passMs = fc.constantFrom(1, 500, 999, 1_000, 2_000);
const ttlS = fc.constantFrom(1, 2, 60);
/** Now and then more than one page of a backlog has. */
const count = fc.constantFrom(1, 1, 1, 2, 3, replayPageRows + 10);

/** What happens while a connection is told its backlog, too. */
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ tell: count, ttlS }) },
  { weight: 2, arbitrary: fc.record({ tellAll: ttlS }) },
  { weight: 4, arbitrary: fc.record({ passMs }) },
  { weight: 2, arbitrary: fc.record({ read: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.constant({ expire: true } as const) },
);
type Event = typeof event extends fc.Arbitrary<infer Happening> ? Happening : never;
const step = fc.oneof(
  { weight: 6, arbitrary: event },
  { weight: 2, arbitrary: fc.record({ connect: fc.array(event, { maxLength: 4 }) }) },
  { weight: 3, arbitrary: fc.constant({ hear: true } as const) },
);

/** Something that was told, to the person or to everybody. */
type Known = { readonly endsMs: number; isRead: boolean };

/** A connection: up to where it has read the log of each topic, and what it was told. */
type Device = { readonly at: Map<string, number>; readonly told: Set<string> };

test("whenever somebody connects and however late they are told, nothing is told that has ended by then, and all that has not is, once", async () => {
  const { store, broadcasts, tell, clock, eventlog, person } = await openBroadcastStage();
  const plain = createPlain(store, createReplay(store));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25, size: "max" }), async (steps) => {
      const run = await openRun();
      try {
        for (const one of steps) {
          if ("connect" in one) await run.connect(one.connect);
          else if ("hear" in one) await run.hearAll();
          else await run.happen(one);
        }
        await run.hearAll();
      } finally {
        clock.advance(120_000);
        await run.happen({ expire: true });
      }
    }),
    { numRuns: 60 },
  );

  /** A new person: what others were told is nothing to them, and what everybody was has ended. */
  async function openRun() {
    const userId = await person();
    const actor: UserActor = {
      kind: "user",
      id: userId,
      username: `reader-${userId}`,
      role: "user",
      sessionId: undefined,
      expiresAt: Number.POSITIVE_INFINITY,
      scopes: new Set(),
    };
    const topicsHeard = await plain.topics(actor, new URLSearchParams());
    const known = new Map<string, Known>();
    const devices: Device[] = [];

    async function happen(one: Event) {
      const endsMs = ("ttlS" in one ? one.ttlS : 60) * 1_000 + clock.now();
      if ("passMs" in one) clock.advance(one.passMs);
      else if ("tell" in one) {
        const requests = Array.from({ length: one.tell }, () => requestTo([userId], { ttlS: one.ttlS }));
        for (const id of (await store.notify(requests)).flatMap(idsOf))
          known.set(id, { endsMs, isRead: false });
      } else if ("tellAll" in one) {
        const id = await tell({ ttl_s: one.tellAll });
        known.set(id, { endsMs: clock.now() + one.tellAll * 1_000, isRead: false });
      } else if ("read" in one) {
        const [id, read] = [...known][one.read % (known.size + 1)] ?? [];
        if (id === undefined || read === undefined) return;
        await store.mark({ userId, actor: "user:1" }, { state: "read", notification_ids: [id] });
        read.isRead = true;
      } else {
        await store.expire(never);
        await broadcasts.expire(never);
      }
    }

    /** What the log has told in the device's topics since it has looked, topic by topic. */
    async function heardBy({ at }: Device): Promise<readonly Entry[]> {
      const heard: Entry[] = [];
      for (const topic of topicsHeard) {
        for (;;) {
          const after = at.get(topic) ?? 0;
          const { entries, end } = await eventlog.read(partitionOf(topic, eventlog.partitions), after, 1_000);
          heard.push(...entries.filter((entry) => entry.topic === topic));
          at.set(topic, end);
          if (end === after) break;
        }
      }
      return heard;
    }

    function takeTexts({ told }: Device, texts: readonly string[]): void {
      for (const text of texts) {
        const { type, data } = JSON.parse(text) as Static<typeof SeedPush | typeof SeedReadAck>;
        if (type !== "notification.push") continue;
        const { endsMs } = known.get(data.notification_id) ?? assert.fail("it was told by somebody");
        assert.ok(endsMs > clock.now(), `it has ended ${clock.now() - endsMs} ms ago`);
        assert.ok(!told.has(data.notification_id), "it is told once");
        told.add(data.notification_id);
      }
    }

    function render(device: Device, entries: readonly Entry[]): void {
      for (const entry of entries)
        takeTexts(device, plain.render(entry.topic, entry.type, parseData(entry), clock.now()));
    }

    /** Everything that is unread and has not ended was told. */
    function compare({ told }: Device): void {
      for (const [id, { endsMs, isRead }] of known)
        if (!isRead && endsMs > clock.now()) assert.ok(told.has(id), "what is unread is told");
    }

    return {
      happen,
      hearAll: async () => {
        for (const device of devices) {
          render(device, await heardBy(device));
          compare(device);
        }
      },
      /** As the gateway does it; something happens after each page. */
      connect: async (events: readonly Event[]) => {
        const heads = await eventlog.heads();
        const at = topicsHeard.map((topic): [string, number] => {
          return [topic, heads[partitionOf(topic, eventlog.partitions)] ?? 0];
        });
        const device: Device = { at: new Map(at), told: new Set() };
        const { texts, isNews } = plain.backlog?.(actor) ?? assert.fail("there is a backlog");
        const rest = [...events];
        for await (const page of texts) {
          takeTexts(device, page);
          for (const one of rest.splice(0, 2)) await happen(one);
        }
        const meanwhile = await heardBy(device);
        // They wait a while for their turn.
        for (const one of rest) if ("passMs" in one) await happen(one);
        const news = meanwhile.filter((entry) => isNews(entry.type, parseData(entry)));
        render(device, news);
        compare(device);
        devices.push(device);
      },
    };
  }
});
