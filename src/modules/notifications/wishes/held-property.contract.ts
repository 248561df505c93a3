import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { NotificationCreatedData } from "../../../../protocol/notifications.ts";
import type { NewPreferences, Preferences } from "../../../../protocol/preferences.ts";
import { limits } from "../../../../protocol/limits.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import type { StoreUnderTest } from "../store-under-test.fixture.ts";
import { each, heldUntil, minuteMs } from "./held.fixture.ts";
import { mornings, nights, step } from "./held-steps.fixture.ts";
import { isQuiet, wallOf } from "./quiet-hours.fixture.ts";
import { whenDue, whenToTell } from "./when-to-tell.ts";

const never = new AbortController().signal;
/** Something that was accepted for a person. */
type Accepted = {
  readonly message: string;
  readonly category: string;
  readonly isGathered: boolean;
  readonly atMs: number;
  /** What is accepted at the same time by several requests has no order. */
  readonly turn: number;
  isTold: boolean;
};

/** One person: what they wish, what was accepted for them and not told yet, and what they were told. */
class Person {
  readonly id: number;
  readonly waiting: Accepted[] = [];
  preferences: Preferences | null = null;
  /** How many entries were looked at. */
  looked = 0;

  constructor(id: number) {
    this.id = id;
  }
}

/**
 * Whatever people wish, and whenever: what they are told comes when they wish it, once, in order, and every count is
 * right. Of digests: the sum of what they gather is what was accepted.
 */
export function testHeldProperty(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: whatever people wish, what is accepted is told once, in order, and when they wish it, also while clocks change`, async () => {
    const stage = await open();
    const { store, clock } = stage;
    let made = 0;
    let turns = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(fc.constantFrom(...nights), fc.constantFrom(...mornings)),
        fc.array(step, { maxLength: 30, size: "max" }),
        async ([[start, zone], to], steps) => {
          // New people: what others were told at other times is nothing to them.
          clock.advance(Date.parse(start) - clock.now());
          const people = [new Person(await stage.person()), new Person(await stage.person())];
          const at = (n: number): Person => people[n] ?? assert.fail();
          const wish = async (person: Person, wished: NewPreferences): Promise<void> => {
            person.preferences = await store.setPreferences({ userId: person.id, actor: "user:1" }, wished);
          };
          const quiet_hours = { from: "22:00", to };
          const categories = { news: { inbox: "digest", push: true } } as const;
          for (const person of people) await wish(person, { time_zone: zone, quiet_hours, categories });
          for (const one of steps) {
            if ("passMinutes" in one) clock.advance(one.passMinutes * minuteMs);
            else if ("release" in one) await release(people);
            else if ("expire" in one) await store.expire(never);
            else if ("wish" in one) {
              const person = at(one.wish);
              const { muteMinutes } = one;
              const muted =
                muteMinutes === 0 ? null : new Date(clock.now() + muteMinutes * minuteMs).toISOString();
              const wished = { ...one.wishes, muted_until: muted };
              await wish(person, wished);
            } else if ("wishMore" in one) {
              const person = at(one.wishMore);
              const { categories: known = {}, ...same } = person.preferences ?? {};
              await wish(person, {
                ...same,
                categories: { ...known, [`more${Object.keys(known).length}`]: each },
              });
            } else if ("read" in one) {
              const { id } = at(one.read);
              const last = (await store.list(id, {})).notifications[0];
              if (last !== undefined)
                await store.mark({ userId: id, actor: "user:1" }, { state: "read", up_to: last.stream_id });
            } else
              await tell(
                one.tell.map(({ who, ...parts }) => ({ person: at(who), ...parts })),
                one,
              );
            for (const person of people) await compare(person);
          }
          // In the end nobody wishes anything, and whatever waits is told.
          for (const person of people) await wish(person, {});
          await release(people);
          for (const person of people) {
            await compare(person);
            assert.deepEqual(person.waiting, [], "nothing was lost");
          }
        },
      ),
      { numRuns: 60 },
    );

    async function tell(
      wanted: readonly { person: Person; category: string; critical: boolean }[],
      { together, again }: { readonly together: boolean; readonly again: boolean },
    ): Promise<void> {
      const requests = wanted.map(({ person, category, critical }) => {
        const message = `m${made++}`;
        return { person, message, request: requestTo([person.id], { message, category, critical }) };
      });
      // Nobody knows what became of the first attempt: the second one has no effect of its own.
      if (again) await store.notify(requests.map(({ request }) => request));
      const answers = again
        ? await store.notify(
            requests.map(({ request }) => request),
            { again: true },
          )
        : together
          ? await store.notify(requests.map(({ request }) => request))
          : (await Promise.all(requests.map(({ request }) => store.notify([request])))).flat();
      turns++;
      for (const [n, { person, message, request }] of requests.entries()) {
        const turn = together || again ? ++turns : turns;
        const telling = whenToTell(person.preferences, request, clock.now());
        const [code] = idsOf(answers[n]);
        assert.equal(code === "muted", telling.kind === "muted");
        if (telling.kind === "muted") continue;
        if (telling.kind === "held") assert.deepEqual(heldUntil(answers[n]), [peaceEndsAt(person)]);
        const { category } = request;
        person.waiting.push({
          message,
          category,
          isGathered: telling.kind === "gathered",
          atMs: clock.now(),
          turn,
          isTold: false,
        });
      }
    }

    async function release(people: readonly Person[]): Promise<void> {
      // Who wishes not to be told any more is not: only what is due finds that out.
      const before = people.map(({ waiting }) => [...waiting]);
      await store.release(never);
      for (const [n, person] of people.entries()) {
        const held = new Set(await stage.held(person.id));
        await hear(person);
        for (const one of before[n] ?? []) {
          if (one.isTold) continue;
          if (held.has(one.message)) {
            assert.ok(isPeaceful(person) || one.isGathered, `${one.message} is held longer than is wished`);
            if (one.isGathered)
              assert.ok(isGathering(person, one), `${one.message} is gathered for too long`);
            continue;
          }
          const due = whenDue(person.preferences, one.category, clock.now());
          assert.equal(due.kind, "muted", `${one.message} is neither told nor held`);
          person.waiting.splice(person.waiting.indexOf(one), 1);
        }
      }
    }

    /** By the person's own clock, read in another way than the code does. */
    function isPeaceful({ preferences }: Person, ms = clock.now()): boolean {
      if (preferences === null) return false;
      const { quiet_hours: quiet, time_zone: zone, muted_until: until } = preferences;
      if (until !== null && Date.parse(until) > ms) return true;
      return quiet !== null && isQuiet(quiet, wallOf(zone)(ms));
    }

    /** Minute by minute, until it is time. */
    function peaceEndsAt(person: Person): string {
      for (let ms = Math.ceil(clock.now() / minuteMs) * minuteMs; ; ms += minuteMs)
        if (!isPeaceful(person, ms)) return new Date(ms).toISOString();
    }

    /** It, or one before it in the same digest, has come so short a time ago, or it is no time to close one. */
    function isGathering(person: Person, { atMs }: Accepted): boolean {
      const minutes = person.preferences?.digest_minutes ?? 0;
      return isPeaceful(person) || clock.now() < atMs + minutes * minuteMs;
    }

    /** Looks at what the person was told since the last look; all of it must be welcome at this moment. */
    async function hear(person: Person): Promise<void> {
      const entries = await stage.entries(person.id);
      const fresh = entries.slice(person.looked).filter(({ type }) => type === "notification.created");
      person.looked = entries.length;
      let turn = 0;
      for (const entry of fresh) {
        const { notification } = parseData<NotificationCreatedData>(entry);
        const { message, gathered, category, critical, expires_at: expiresAt } = notification;
        assert.ok(Date.parse(expiresAt) > clock.now(), "what has ended is not told");
        if (!critical) assert.equal(whenDue(person.preferences, category, clock.now()).kind, "now");
        const lines = message.split("\n").filter((line) => !line.startsWith("+"));
        assert.equal(gathered, lines.length, "fewer than a digest shows are accepted here");
        const told = lines.map((line) => {
          const found = person.waiting.findIndex((one) => one.message === line);
          assert.ok(found >= 0, `${line} is told once, and only if it was accepted`);
          const one = person.waiting[found] ?? assert.fail();
          one.isTold = true;
          return one;
        });
        // One that was to be gathered comes with the digests, each of which has a time of its own.
        const [first = assert.fail()] = told;
        if (first.isGathered) continue;
        assert.ok(first.turn >= turn, "in the order in which they were accepted");
        turn = first.turn;
      }
      for (let n = person.waiting.length - 1; n >= 0; n--)
        if (person.waiting[n]?.isTold) person.waiting.splice(n, 1);
    }

    async function compare(person: Person): Promise<void> {
      await hear(person);
      await stage.audit(person.id);
      assert.equal((await store.unread(person.id)).unread, await recount(person.id));
      const waiting = person.waiting.map(({ message }) => message);
      assert.deepEqual((await stage.held(person.id)).toSorted(), waiting.toSorted());
    }

    /** One by one, as they are listed. */
    async function recount(userId: number): Promise<number> {
      let count = 0;
      for (let cursor: string | null | undefined; cursor !== null;) {
        const wish = { state: "unread", limit: limits.pageRows } as const;
        const page = await store.list(userId, cursor === undefined ? wish : { ...wish, cursor });
        count += page.notifications.length;
        cursor = page.next_cursor;
      }
      return count;
    }
  });
}
