import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import { Notified } from "../../protocol/notifications.ts";
import { type NewPreferences, Preferences, defaultPreferences } from "../../protocol/preferences.ts";
import { eventually } from "../harness.ts";
import { openAccounts } from "./accounts.ts";
import { SeedClient } from "./notifications.ts";

const accounts = await openAccounts({ after });
const notifyKey = await accounts.key(["notify:write"]);
const path = "/api/v1/notifications/preferences";
/** Stands in values that no answer may repeat. */
const marker = "s3cr3t";

/** Quiet at this moment, and for hours to come. */
function quietNow(): NonNullable<Preferences["quiet_hours"]> {
  const timeIn = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
  return { from: timeIn(-2), to: timeIn(2) };
}

async function tell(userId: number, message: string, parts: object = {}) {
  const json = { target: [{ id: userId }], message, source: "test", ...parts };
  const answer = await accounts.request("POST", "/api/v1/notify", { key: notifyKey, json });
  assert.equal(answer.status, 202, answer.text);
  return answer.as(Notified).results[0];
}

test("what is told in quiet hours waits, what is critical does not, and when they end it is on every device", async (t) => {
  const { user, access_token: key } = await accounts.register();
  const device = await new SeedClient(accounts.url, { user_id: user.id }, key).opened();
  t.after(async () => device.drop());
  assert.deepEqual((await accounts.request("GET", path, { key })).as(Preferences), defaultPreferences);
  const quiet_hours = quietNow();
  const wished: NewPreferences = { quiet_hours, categories: { ads: { inbox: "off", push: false } } };
  const saved = await accounts.request("PUT", path, { key, json: wished });
  assert.deepEqual([saved.status, saved.as(Preferences)], [200, { ...defaultPreferences, ...wished }]);
  const held = await tell(user.id, "held");
  assert.ok(held !== undefined && "held_until" in held && Date.parse(held.held_until ?? "") > Date.now());
  const refused = await tell(user.id, "ad", { category: "ads" });
  assert.equal(refused !== undefined && "error" in refused && refused.error.code, "muted");
  await tell(user.id, "fire", { critical: true });
  assert.deepEqual(
    (await device.hears(1)).map(({ message }) => message),
    ["fire"],
  );
  await accounts.request("PUT", path, { key, json: {} });
  await eventually("what was held is told", () => device.pushes.length === 2);
  assert.equal(device.pushes[1]?.message, "held");
  assert.equal("notification_id" in held && held.notification_id, device.pushes[1]?.notification_id);
});

test("what a wish leaves out is as by default, and what that leaves out as it is for everybody", async () => {
  const { access_token: token } = await accounts.register();
  const each: readonly (readonly [NewPreferences, Partial<Preferences>])[] = [
    [{ default: { push: false } }, { default: { inbox: "each", push: false } }],
    [{ default: {} }, {}],
    [{ categories: { news: { inbox: "off" } } }, { categories: { news: { inbox: "off", push: true } } }],
    [
      { default: { push: false }, categories: { news: { inbox: "digest" }, ads: { push: true }, chat: {} } },
      {
        default: { inbox: "each", push: false },
        categories: {
          news: { inbox: "digest", push: false },
          ads: { inbox: "each", push: true },
          chat: { inbox: "each", push: false },
        },
      },
    ],
  ];
  for (const [json, kept] of each) {
    const saved = await accounts.request("PUT", path, { key: token, json });
    assert.equal(saved.status, 200, saved.text);
    assert.deepEqual(saved.as(Preferences), { ...defaultPreferences, ...kept });
    const read = await accounts.request("GET", path, { key: token });
    assert.deepEqual(read.as(Preferences), { ...defaultPreferences, ...kept });
  }
});

const { access_token: key } = await accounts.register();
const wish = { inbox: "each", push: true };
const many = Object.fromEntries(Array.from({ length: limits.categoryWishes + 1 }, (_, n) => [`c${n}`, wish]));

const bad: readonly (readonly [what: string, body: unknown, at: string, says?: string])[] = [
  ["a zone that is a number", { time_zone: 3 }, "/time_zone"],
  ["a zone that nobody knows", { time_zone: `Europe/${marker}` }, "/time_zone"],
  ["a zone with a space", { time_zone: "Europe/Saint Petersburg" }, "/time_zone"],
  ["an offset instead of a zone", { time_zone: "+03" }, "/time_zone"],
  ["an empty zone", { time_zone: "" }, "/time_zone"],
  ["quiet hours without an end", { quiet_hours: { from: "22:00" } }, "/quiet_hours/to"],
  ["quiet hours at 24:00", { quiet_hours: { from: "22:00", to: "24:00" } }, "/quiet_hours/to"],
  ["quiet hours in seconds", { quiet_hours: { from: "22:00:00", to: "07:00" } }, "/quiet_hours/from"],
  ["quiet hours all day", { quiet_hours: { from: "07:00", to: "07:00" } }, "/quiet_hours/to"],
  ["quiet hours on no day", { quiet_hours: { from: "22:00", to: "07:00", days: [] } }, "/quiet_hours/days"],
  ["the eighth day", { quiet_hours: { from: "22:00", to: "07:00", days: [8] } }, "/quiet_hours/days/0"],
  ["days by name", { quiet_hours: { from: "22:00", to: "07:00", days: ["mon"] } }, "/quiet_hours/days/0"],
  ["muted for how long", { muted_until: 3_600 }, "/muted_until"],
  ["muted until a day without a time", { muted_until: "2026-01-01" }, "/muted_until"],
  [
    "muted until a year that is not taken",
    { muted_until: "9999-12-31T23:59:59Z" },
    "/muted_until",
    "in the years 1000 to 2999",
  ],
  ["muted until a leap second", { muted_until: "2016-12-31T23:59:60Z" }, "/muted_until", "a leap second"],
  ["muted until the year 3000 of UTC", { muted_until: "2999-12-31T23:59:59-01:00" }, "/muted_until"],
  ["muted until the 30th of February", { muted_until: "2026-02-30T00:00:00Z" }, "/muted_until"],
  ["a digest of too few minutes", { digest_minutes: limits.digestMinutesMin - 1 }, "/digest_minutes"],
  ["a digest of too many minutes", { digest_minutes: limits.digestMinutes + 1 }, "/digest_minutes"],
  ["a digest of half a minute more", { digest_minutes: 30.5 }, "/digest_minutes"],
  ["a wish that there is not", { default: { inbox: "later", push: true } }, "/default/inbox"],
  ["a channel that is text", { categories: { news: { push: "off" } } }, "/categories/news/push"],
  ["a wish with more in it", { default: { ...wish, email: true } }, "/default/email"],
  [
    "a category in capitals",
    { categories: { News: wish } },
    "/categories/News",
    "must be named with 1 to 64 lower-case letters",
  ],
  ["a category with a slash", { categories: { "a/b": {} } }, "/categories/a~1b", "must be named with"],
  [
    "a category with too long a name",
    { categories: { ["c".repeat(limits.nameLength + 1)]: wish } },
    `/categories/${"c".repeat(limits.nameLength + 1)}`,
    "must be named with",
  ],
  ["a category's wish as text", { categories: { news: "off" } }, "/categories/news"],
  [
    "one category too many",
    { categories: many },
    "/categories",
    `must be an object of at most ${limits.categoryWishes} fields`,
  ],
  ["categories as a list", { categories: ["news"] }, "/categories"],
  ["a field that is not known", { mute: true }, "/mute"],
  ["no object", [], ""],
];

for (const [what, json, at, says = ""] of bad)
  test(`refused, and the field named: ${what}`, async () => {
    const answer = await accounts.request("PUT", path, { key, json });
    assert.equal(answer.status, 400, answer.text);
    const problem = JSON.parse(answer.text) as Problem;
    assert.equal(problem.code, "invalid_body");
    assert.deepEqual([...new Set(problem.errors?.map(({ pointer }) => pointer))], [at]);
    assert.ok(problem.detail?.includes(says), problem.detail);
    assert.ok(!answer.text.includes(marker), "it does not repeat what was sent");
  });

test("as many categories as there may be are kept, and nothing of what was refused", async () => {
  assert.deepEqual((await accounts.request("GET", path, { key })).as(Preferences), defaultPreferences);
  const { c0: _one, ...categories } = many;
  const answer = await accounts.request("PUT", path, { key, json: { categories } });
  assert.equal(Object.keys((answer.as(Preferences) as Preferences).categories).length, limits.categoryWishes);
});
