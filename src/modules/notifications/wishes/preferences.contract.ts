import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type NewPreferences,
  type Preferences,
  defaultPreferences,
} from "../../../../protocol/preferences.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import type { AppError } from "../../../lib/errors.ts";
import { requestTo } from "../requests.fixture.ts";
import type { StoreUnderTest } from "../store-under-test.fixture.ts";
import { digest, hourMs, off, quietUntilSeven, who, wordsTold } from "./held.fixture.ts";

const never = new AbortController().signal;

/** What every store promises (`store.ts`) of what people wish. */
export function testPreferences(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: who has wished nothing has the wishes of everybody, and gets back what they wish`, async () => {
    const { store, person, entries } = await open();
    const ann = await person();
    assert.deepEqual(await store.preferences(ann), defaultPreferences);
    const wished = {
      time_zone: "Europe/Moscow",
      quiet_hours: { from: "22:00", to: "07:00", days: [7, 1, 7] },
      muted_until: "2026-02-01T03:00:00+03:00",
      categories: { news: off },
    } satisfies NewPreferences;
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

  test(`${name}: the same wishes again tell nobody anything`, async () => {
    const { store, person, entries } = await open();
    const ann = await person();
    await store.setPreferences(who(ann), quietUntilSeven);
    await store.notify([requestTo([ann])]);
    await store.setPreferences(who(ann), quietUntilSeven);
    assert.equal((await entries(ann)).length, 1);
    await store.setPreferences(who(ann), { ...quietUntilSeven, digest_minutes: 30 });
    await store.setPreferences(who(ann), { ...quietUntilSeven, digest_minutes: 40 });
    assert.equal((await entries(ann)).length, 3);
  });
}
