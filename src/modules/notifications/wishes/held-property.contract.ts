import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { NotificationCreatedData } from "../../../../protocol/notifications.ts";
import { type NewPreferences, type Preferences, inboxWishes } from "../../../../protocol/preferences.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import type { NotifyAnswer } from "../decide-notify.ts";
import type { Stage } from "../notifications.fixture.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import { isQuiet, wallOf } from "./quiet-hours.fixture.ts";
import { whenDue, whenToTell } from "./when-to-tell.ts";

const never = new AbortController().signal;
const categories = ["general", "news"] as const;
const minuteMs = 60_000;

/** Evenings, in zones of which each changes its clock in the night that follows. */
const nights = [
  ["2026-03-28T20:00:00Z", "Europe/Berlin"],
  ["2026-10-24T20:00:00Z", "Europe/Berlin"],
  ["2026-03-08T03:00:00Z", "America/New_York"],
  ["2026-11-01T02:00:00Z", "America/New_York"],
  ["2026-04-04T11:00:00Z", "Australia/Lord_Howe"],
  ["2026-10-03T11:30:00Z", "Australia/Lord_Howe"],
  ["2026-03-28T20:00:00Z", "Antarctica/Troll"],
] as const;
const zones = [...new Set(nights.map(([, zone]) => zone)), "Asia/Kolkata"];
/** When the hours of that night end that somebody wishes in the beginning. */
const mornings = ["01:30", "02:00", "02:15", "03:00", "07:00"] as const;

const dayTime = fc
  .tuple(fc.nat(23), fc.constantFrom(0, 1, 30, 59))
  .map(([hour, minute]) => `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`);
const quietHours = fc.record({ from: dayTime, to: dayTime }).filter(({ from, to }) => from !== to);
const each = { inbox: "each", push: true } as const;
const wish = fc.record({
  inbox: fc.constantFrom(...inboxWishes, "each" as const, "digest" as const),
  push: fc.constant(true),
});
const wishes: fc.Arbitrary<NewPreferences> = fc.record(
  {
    time_zone: fc.constantFrom(...zones),
    quiet_hours: fc.option(quietHours, { freq: 4 }),
    digest_minutes: fc.constantFrom(5, 60, 1_440),
    default: wish,
    categories: fc.record({ news: wish }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      tell: fc.array(
        fc.record({
          who: fc.nat(1),
          category: fc.constantFrom(...categories),
          critical: fc.constantFrom(false, false, false, true),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      together: fc.boolean(),
      again: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 2, arbitrary: fc.record({ wish: fc.nat(1), wishes, muteMinutes: fc.constantFrom(0, 0, 0, 30) }) },
  // Something else is wished as well, and the rest as before.
  { weight: 2, arbitrary: fc.record({ wishMore: fc.nat(1) }) },
  { weight: 4, arbitrary: fc.record({ passMinutes: fc.constantFrom(1, 5, 31, 31, 60, 60, 400, 1_441) }) },
  { weight: 4, arbitrary: fc.constant({ release: true } as const) },
  { weight: 1, arbitrary: fc.record({ read: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.constant({ expire: true } as const) },
);

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

function heldUntil(answer: NotifyAnswer | Error | undefined): string | undefined {
  if (answer === undefined || answer instanceof Error) return undefined;
  const [result] = answer.results;
  return result !== undefined && "held_until" in result ? result.held_until : undefined;
}

/**
 * Whatever people wish, and whenever: what they are told comes when they wish it, once, in order, and every count is
 * right. Of digests: the sum of what they gather is what was accepted.
 */
export function testHeldProperty(name: string, open: () => Promise<Stage>): void {
  test(`${name}: whatever people wish, what is accepted is told once, in order, and when they wish it, also while clocks change`, async () => {
    const stage = await open();
    const { store, clock, db } = stage;
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
        if (telling.kind === "held") assert.equal(heldUntil(answers[n]), peaceEndsAt(person));
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
        const held = await heldOf(person.id);
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

    async function heldOf(userId: number): Promise<ReadonlySet<string>> {
      const { rows } = await db.query<{ message: string }>(
        "select message from notification_held where user_id = $1",
        [userId],
      );
      return new Set(rows.map(({ message }) => message));
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
      const now = new Date(clock.now());
      const { rows } = await db.query<{
        unread: number;
        stored: number;
        kept: number;
        held: number;
        counted: number;
      }>(
        `select (select count(*) from notification where user_id = $1 and state in ('unread', 'seen') and expires_at > $2)::int as unread,
                (select count(*) from notification where user_id = $1)::int as stored,
                coalesce((select stored from notification_person where user_id = $1), 0) as kept,
                (select count(*) from notification_held where user_id = $1)::int as held,
                coalesce((select held from notification_person where user_id = $1), 0) as counted`,
        [person.id, now],
      );
      const [row = assert.fail()] = rows;
      assert.equal((await store.unread(person.id)).unread, row.unread);
      assert.equal(row.stored, row.kept);
      assert.equal(row.held, row.counted);
      const { rows: wrong } = await db.query(
        `select from notification_digest d
          where user_id = $1 and gathered <> (select count(*) from notification_held h where h.digest_id = d.id)`,
        [person.id],
      );
      assert.equal(wrong.length, 0, "a digest counts what it has gathered");
      assert.deepEqual(await heldOf(person.id), new Set(person.waiting.map(({ message }) => message)));
    }
  });
}
