import assert from "node:assert/strict";
import { test } from "node:test";
import type { NotificationCreatedData } from "../../../../protocol/notifications.ts";
import {
  type NewPreferences,
  type Preferences,
  defaultPreferences,
} from "../../../../protocol/preferences.ts";
import { limits } from "../../../../protocol/limits.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import type { AppError } from "../../../lib/errors.ts";
import type { NotifyAnswer } from "../decide-notify.ts";
import type { Stage } from "../notifications.fixture.ts";
import { digestBatchMax, releaseBatchMax } from "./release.ts";
import { idsOf, requestTo } from "../requests.fixture.ts";
import { toldNothing } from "../store.ts";

const never = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 3_600_000;
const each = { inbox: "each", push: true } as const;
const digest = { inbox: "digest", push: true } as const;
const off = { inbox: "off", push: true } as const;
/** The clock of the stage shows midnight. */
const quietUntilSeven: NewPreferences = { quiet_hours: { from: "22:00", to: "07:00" } };

function who(userId: number): { readonly userId: number; readonly actor: string } {
  return { userId, actor: `user:${userId}` };
}

function heldUntil(answer: NotifyAnswer | Error | undefined): readonly (string | undefined)[] {
  assert.ok(answer !== undefined && !(answer instanceof Error));
  return answer.results.map((result) => ("held_until" in result ? result.held_until : undefined));
}

/** What a person was told by entries, in order. */
async function told(stage: Stage, userId: number): Promise<readonly NotificationCreatedData[]> {
  const entries = await stage.entries(userId);
  return entries.filter(({ type }) => type === "notification.created").map((entry) => parseData(entry));
}

async function wordsTold(stage: Stage, userId: number): Promise<readonly string[]> {
  return (await told(stage, userId)).map(({ notification }) => notification.message);
}

/** What every store promises of preferences, quiet hours and digests (`store.ts`), tried on one. */
export function testHeldNotifications(name: string, open: () => Promise<Stage>): void {
  test(`${name}: who has wished nothing has the wishes of everybody, and gets back what they wish`, async () => {
    const { store, person, entries } = await open();
    const ann = await person();
    assert.deepEqual(await store.preferences(ann), defaultPreferences);
    const wished: NewPreferences = {
      time_zone: "Europe/Moscow",
      quiet_hours: { from: "22:00", to: "07:00", days: [7, 1, 7] },
      muted_until: "2026-02-01T03:00:00+03:00",
      categories: { news: off },
    };
    const saved: Preferences = {
      ...defaultPreferences,
      ...wished,
      quiet_hours: { from: "22:00", to: "07:00", days: [1, 7] },
      muted_until: "2026-02-01T00:00:00.000Z",
    };
    assert.deepEqual(await store.setPreferences(who(ann), wished), saved);
    assert.deepEqual(await store.preferences(ann), saved);
    const [entry] = await entries(ann);
    assert.deepEqual(
      [entry?.type, entry?.actor, parseData(entry ?? { data: "null" as never })],
      ["notification.preferences", `user:${ann}`, { preferences: saved }],
    );
    assert.deepEqual(await store.setPreferences(who(ann), {}), defaultPreferences, "the whole of them");
  });

  test(`${name}: wishes that nobody can fulfil are refused by the name of their field`, async () => {
    const { store, person } = await open();
    const ann = await person();
    const wrong: [NewPreferences, string][] = [
      [{ time_zone: "Europe/Atlantis" }, "/time_zone"],
      [{ time_zone: "+03" }, "/time_zone"],
      [{ quiet_hours: { from: "07:00", to: "07:00" } }, "/quiet_hours/to"],
      [{ muted_until: "2026-02-30T00:00:00Z" }, "/muted_until"],
    ];
    for (const [wished, pointer] of wrong)
      await assert.rejects(store.setPreferences(who(ann), wished), (error: AppError) => {
        assert.equal(error.details.fields?.[0]?.pointer, pointer);
        return true;
      });
    assert.deepEqual(await store.preferences(ann), defaultPreferences);
  });

  test(`${name}: in quiet hours what is told is held, counts nowhere, and is told when they end, in order and in full`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const [ann, bob] = [await person(), await person()];
    await store.setPreferences(who(ann), quietUntilSeven);
    const [first] = await store.notify([requestTo([ann, bob], { message: "1", ttlS: 60 })]);
    const [second] = await store.notify([requestTo([ann], { message: "2", ttlS: 60 })]);
    assert.deepEqual(heldUntil(first), ["2026-01-01T07:00:00.000Z", undefined]);
    assert.deepEqual(await store.unread(ann), { unread: 0, version: 0 });
    assert.deepEqual((await store.list(ann, { state: "any" })).notifications, []);
    assert.deepEqual(await store.replay([{ userId: ann, after: toldNothing }]), [[]]);
    assert.deepEqual(await told(stage, ann), []);
    clock.advance(7 * hourMs - 1);
    assert.equal(await store.release(never), 0);
    clock.advance(1);
    assert.equal(await store.release(never), 2);
    assert.equal(await store.release(never), 0);
    const [one, two, ...rest] = await told(stage, ann);
    assert.deepEqual([one?.notification.message, two?.notification.message, rest.length], ["1", "2", 0]);
    assert.deepEqual(
      [one?.notification.notification_id, two?.notification.notification_id],
      [idsOf(first)[0], idsOf(second)[0]],
    );
    assert.equal(
      one?.notification.expires_at,
      "2026-01-01T07:01:00.000Z",
      "it ends so long after it is told",
    );
    assert.equal(one?.notification.created_at, "2026-01-01T00:00:00.000Z", "it is as old as it is");
    assert.deepEqual([two?.unread, two?.version], [2, 2]);
    assert.deepEqual(await store.unread(ann), { unread: 2, version: 2 });
  });

  test(`${name}: what is critical is told at once, whatever anybody wishes`, async () => {
    const stage = await open();
    const { store, person } = stage;
    const ann = await person();
    for (const wished of [
      quietUntilSeven,
      { muted_until: "2027-01-01T00:00:00Z" },
      { default: off },
      { default: digest },
    ]) {
      await store.setPreferences(who(ann), wished);
      const [answer] = await store.notify([requestTo([ann], { critical: true })]);
      assert.deepEqual(heldUntil(answer), [undefined]);
    }
    assert.equal((await told(stage, ann)).length, 4);
  });

  test(`${name}: who does not want to be told is named, and nothing is kept for later`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const [ann, bob] = [await person(), await person()];
    await store.setPreferences(who(ann), {
      muted_until: "2026-01-01T01:00:00Z",
      categories: { ads: off, news: each },
    });
    const ask = async (category: string) =>
      idsOf((await store.notify([requestTo([ann, bob], { category, message: category })]))[0])[0];
    assert.deepEqual([await ask("news"), await ask("ads")], ["muted", "muted"]);
    assert.equal((await store.unread(bob)).unread, 2);
    clock.advance(hourMs);
    assert.notEqual(await ask("news"), "muted");
    assert.notEqual(
      await ask("constructor"),
      "muted",
      "a category by the name of an object's own member is none",
    );
    assert.equal(await ask("ads"), "muted");
    assert.equal(await store.release(never), 0);
    assert.deepEqual(await wordsTold(stage, ann), ["news", "constructor"]);
  });

  test(`${name}: new wishes hold for what is held: told at once, later, or not at all`, async () => {
    const stage = await open();
    const { store, person } = stage;
    const people = [await person(), await person(), await person()] as const;
    const [ann, bob, cid] = people;
    for (const id of people)
      await store.setPreferences(who(id), { ...quietUntilSeven, categories: { sport: digest } });
    await store.notify(
      ["general", "sport"].map((category) => requestTo(people, { category, message: category })),
    );
    await store.setPreferences(who(ann), {});
    await store.setPreferences(who(bob), { ...quietUntilSeven, default: off });
    await store.setPreferences(who(cid), { quiet_hours: { from: "00:00", to: "09:00" } });
    await store.release(never);
    assert.deepEqual((await wordsTold(stage, ann)).toSorted(), ["general", "sport"]);
    assert.deepEqual([await wordsTold(stage, bob), await wordsTold(stage, cid)], [[], []]);
    stage.clock.advance(9 * hourMs - 1);
    await store.release(never);
    assert.deepEqual([await wordsTold(stage, bob), await wordsTold(stage, cid)], [[], []]);
    stage.clock.advance(1);
    await store.release(never);
    assert.deepEqual((await wordsTold(stage, cid)).toSorted(), ["general", "sport"]);
    assert.deepEqual(await wordsTold(stage, bob), []);
  });

  test(`${name}: who has quiet hours again before it could be told is told when these end`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    await store.notify([requestTo([ann], { message: "late" })]);
    clock.advance(23 * hourMs);
    assert.equal(await store.release(never), 0);
    clock.advance(8 * hourMs);
    assert.equal(await store.release(never), 1);
    assert.deepEqual(await wordsTold(stage, ann), ["late"]);
  });

  test(`${name}: a digest takes what comes at the same time once, and is told once`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    await store.setPreferences(who(ann), { categories: { news: digest }, digest_minutes: 30 });
    const answers = (
      await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          store.notify([requestTo([ann], { category: "news", message: `n${n}` })]),
        ),
      )
    ).flat();
    const ids = new Set(answers.flatMap(idsOf));
    assert.equal(ids.size, 1, "they all are the same digest");
    assert.deepEqual([...new Set(answers.flatMap(heldUntil))], ["2026-01-01T00:30:00.000Z"]);
    clock.advance(30 * minuteMs - 1);
    assert.equal(await store.release(never), 0);
    // What comes late joins it, and does not put it off.
    await store.notify([requestTo([ann], { category: "news", message: "last" })]);
    clock.advance(1);
    assert.equal(await store.release(never), 1);
    const [{ notification } = assert.fail(), ...rest] = await told(stage, ann);
    assert.equal(rest.length, 0);
    assert.deepEqual(
      [notification.gathered, notification.notification_id, notification.message.split("\n").length],
      [21, [...ids][0], 21],
    );
    assert.match(notification.message, /^\+1\n.*last$/s);
    assert.deepEqual(await store.unread(ann), { unread: 1, version: 1 });
    const [next] = await store.notify([requestTo([ann], { category: "news" })]);
    assert.notDeepEqual(idsOf(next), [...ids], "the next one is another digest");
  });

  test(`${name}: a digest that would close in quiet hours gathers until they end`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    await store.setPreferences(who(ann), { ...quietUntilSeven, default: digest });
    const [answer] = await store.notify([requestTo([ann], { message: "1" })]);
    assert.deepEqual(heldUntil(answer), ["2026-01-01T07:00:00.000Z"]);
    // Should the wish have come after it was opened, it is put off when it is due.
    await stage.db.query("update notification_digest set closes_at = $1", [new Date(clock.now())]);
    assert.equal(await store.release(never), 0);
    clock.advance(7 * hourMs);
    await store.notify([requestTo([ann], { message: "2" })]);
    assert.equal(await store.release(never), 1);
    assert.deepEqual(await wordsTold(stage, ann), ["1\n2"]);
  });

  test(`${name}: an attempt that is repeated because nobody knows what became of it holds once`, async () => {
    const { store, person, clock } = await open();
    const [ann, bob] = [await person(), await person()];
    await store.setPreferences(who(ann), quietUntilSeven);
    await store.setPreferences(who(bob), { default: digest });
    const request = requestTo([ann, bob, ann]);
    const [first] = await store.notify([request]);
    const [again] = await store.notify([request], { again: true });
    assert.deepEqual([idsOf(again), heldUntil(again)], [idsOf(first), heldUntil(first)]);
    clock.advance(7 * hourMs);
    assert.equal(await store.release(never), 2);
    assert.deepEqual([(await store.unread(ann)).unread, (await store.unread(bob)).unread], [1, 1]);
    assert.equal((await store.list(bob, {})).notifications[0]?.gathered, 1);
  });

  test(`${name}: the same request under the same key is held once, and answered in the same way`, async () => {
    const { store, person } = await open();
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    const idempotency = { key: "held", fingerprint: "a".repeat(64) };
    const [first] = await store.notify([requestTo([ann], { idempotency })]);
    const [again] = await store.notify([requestTo([ann], { idempotency })]);
    assert.deepEqual([idsOf(again), heldUntil(again)], [idsOf(first), heldUntil(first)]);
  });

  test(`${name}: what is held takes its place among what waits for a person, so that there is room when it is told`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    const max = limits.notificationsPerPerson;
    await store.setPreferences(who(ann), { ...quietUntilSeven, categories: { news: digest } });
    const ask = (count: number, parts: Parameters<typeof requestTo>[1]) =>
      store.notify(Array.from({ length: count }, () => requestTo([ann], parts)));
    await ask(releaseBatchMax + 1, { ttlS: 86_400 });
    await ask(1_000, { category: "news" });
    await ask(max - 1 - (releaseBatchMax + 1) - 1_000, { critical: true, ttlS: 86_400 });
    const [fits, full, digested] = [...(await ask(2, {})), ...(await ask(1, { category: "news" }))];
    assert.equal(idsOf(fits)[0]?.length, 36);
    assert.deepEqual([full, digested].flatMap(idsOf), ["inbox_full", "inbox_full"]);
    const told = max - 2 - releaseBatchMax - 1_000;
    assert.equal((await store.unread(ann)).unread, told);
    clock.advance(7 * hourMs);
    assert.equal(await store.release(never), releaseBatchMax + 3);
    assert.equal((await store.unread(ann)).unread, max - 1_000 + 1, "a thousand have become one");
    const [roomy] = await ask(1, {});
    assert.equal(idsOf(roomy)[0]?.length, 36, "and there is room again");
  });

  test(`${name}: what is critical does not wait behind what is held, and has the bound of its own`, async () => {
    const { store, person } = await open();
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    const ask = async (parts: Parameters<typeof requestTo>[1]) =>
      (await store.notify([requestTo([ann], { waitingMax: 2, ...parts })])).flatMap(idsOf)[0]?.length;
    assert.deepEqual([await ask({}), await ask({}), await ask({})], [36, 36, "inbox_full".length]);
    const critical = { critical: true };
    assert.deepEqual(
      [await ask(critical), await ask(critical), await ask(critical)],
      [36, 36, "inbox_full".length],
    );
    assert.equal(await ask({ waitingMax: 5 }), 36);
    assert.equal(await ask({ waitingMax: 5 }), "inbox_full".length);
  });

  test(`${name}: a pause puts off what was accepted before it, and loses nothing of it`, async () => {
    const stage = await open();
    const { store, person, clock } = stage;
    const ann = await person();
    const wished: NewPreferences = { ...quietUntilSeven, digest_minutes: 5, categories: { news: digest } };
    await store.setPreferences(who(ann), wished);
    for (const category of ["general", "news"])
      await store.notify([requestTo([ann], { category, message: category })]);
    await store.setPreferences(who(ann), { ...wished, muted_until: "2026-01-01T00:30:00Z" });
    assert.equal(await store.release(never), 0);
    // The pause outlasts the quiet hours.
    await store.setPreferences(who(ann), { ...wished, muted_until: "2026-01-01T08:00:00Z" });
    clock.advance(8 * hourMs - 1);
    assert.equal(await store.release(never), 0);
    clock.advance(1);
    await store.release(never);
    assert.deepEqual((await wordsTold(stage, ann)).toSorted(), ["general", "news"]);
  });

  test(`${name}: the same wishes again tell nobody anything, and what is due already is not written again`, async () => {
    const { store, person, db, entries } = await open();
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    await store.notify([requestTo([ann])]);
    await store.setPreferences(who(ann), quietUntilSeven);
    assert.equal((await entries(ann)).length, 1);
    const whereIt = async () =>
      (await db.query<{ place: string }>("select ctid::text as place from notification_held")).rows[0]?.place;
    await store.setPreferences(who(ann), { ...quietUntilSeven, digest_minutes: 30 });
    const due = await whereIt();
    await store.setPreferences(who(ann), { ...quietUntilSeven, digest_minutes: 40 });
    assert.equal((await entries(ann)).length, 3);
    assert.equal(await whereIt(), due);
  });

  test(`${name}: an attempt that is repeated after its digest was told makes another one, which is told as well`, async () => {
    const stage = await open();
    const { store, person } = stage;
    const [ann, bob] = [await person(), await person()];
    for (const id of [ann, bob]) await store.setPreferences(who(id), { default: digest });
    const request = requestTo([ann]);
    await store.notify([request, requestTo([bob])]);
    await store.setPreferences(who(ann), {});
    assert.equal(await store.release(never), 1);
    await store.setPreferences(who(ann), { default: digest });
    stage.clock.advance(1);
    await store.notify([request], { again: true });
    stage.clock.advance(hourMs);
    assert.equal(await store.release(never), 2);
    assert.deepEqual([(await told(stage, ann)).length, (await told(stage, bob)).length], [2, 1]);
  });

  test(`${name}: more digests than one transaction closes are all closed`, async () => {
    const { store, person, clock } = await open();
    const people = await Promise.all(Array.from({ length: digestBatchMax + 1 }, person));
    for (const id of people) await store.setPreferences(who(id), { default: digest });
    await store.notify([requestTo(people)]);
    clock.advance(hourMs);
    assert.equal(await store.release(never), people.length);
    for (const id of people) assert.equal((await store.unread(id)).unread, 1);
  });
}
