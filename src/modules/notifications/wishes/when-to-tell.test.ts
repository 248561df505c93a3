import assert from "node:assert/strict";
import { test } from "node:test";
import { type Preferences, defaultPreferences } from "../../../../protocol/preferences.ts";
import { whenDue, whenToTell } from "./when-to-tell.ts";

const midnight = Date.parse("2026-01-01T00:00:00Z");
const seven = midnight + 7 * 3_600_000;
const quiet_hours = { from: "22:00", to: "07:00" };
const each = { inbox: "each", push: true } as const;
const digest = { inbox: "digest", push: true } as const;
const off = { inbox: "off", push: true } as const;

function kindOf(wished: Partial<Preferences>, category = "news", critical = false): string {
  return whenToTell({ ...defaultPreferences, ...wished }, { category, critical }, midnight).kind;
}

test("who has wished nothing is told at once", () => {
  assert.deepEqual(whenToTell(null, { category: "news", critical: false }, midnight), { kind: "now" });
  assert.equal(kindOf({}), "now");
});

test("the first wish that says anything decides: turned off, muted, gathered, held", () => {
  const muted_until = new Date(midnight + 1).toISOString();
  assert.equal(kindOf({ quiet_hours, muted_until, default: off }), "muted");
  assert.equal(kindOf({ quiet_hours, muted_until, default: digest }), "muted");
  assert.equal(kindOf({ quiet_hours, muted_until: new Date(midnight).toISOString() }), "held");
  assert.equal(kindOf({ quiet_hours, default: digest }), "gathered");
  assert.equal(kindOf({ quiet_hours }), "held");
});

test("a category has its own wish, and all others the one for all others", () => {
  const wished = { default: off, categories: { news: each, sport: digest } };
  assert.deepEqual(
    ["news", "sport", "music", "toString", "__proto__"].map((category) => kindOf(wished, category)),
    ["now", "gathered", "muted", "muted", "muted"],
  );
});

test("what is critical is told at once", () => {
  for (const wished of [
    { quiet_hours },
    { default: off },
    { default: digest },
    { muted_until: "2030-01-01T00:00:00Z" },
  ])
    assert.equal(kindOf(wished, "news", true), "now");
});

test("a digest closes when it has gathered long enough, and not in quiet hours", () => {
  const wished = { ...defaultPreferences, default: digest, digest_minutes: 30 };
  const telling = (preferences: Preferences, nowMs: number) =>
    whenToTell(preferences, { category: "news", critical: false }, nowMs);
  assert.deepEqual(telling(wished, midnight), { kind: "gathered", untilMs: midnight + 1_800_000 });
  const quiet = { ...wished, quiet_hours };
  assert.deepEqual(telling(quiet, midnight), { kind: "gathered", untilMs: seven });
  assert.deepEqual(telling(quiet, seven - 1_800_000), { kind: "gathered", untilMs: seven });
  assert.deepEqual(telling(quiet, seven - 1_799_999), { kind: "gathered", untilMs: seven + 1 });
});

test("what has waited is not gathered again, and is held again in quiet hours", () => {
  const quiet = { ...defaultPreferences, default: digest, quiet_hours };
  assert.deepEqual(whenDue(quiet, "news", midnight), { kind: "held", untilMs: seven });
  assert.deepEqual(whenDue(quiet, "news", seven), { kind: "now" });
  assert.equal(whenDue({ ...quiet, default: off }, "news", seven).kind, "muted");
  assert.deepEqual(whenDue(null, "news", midnight), { kind: "now" });
});
