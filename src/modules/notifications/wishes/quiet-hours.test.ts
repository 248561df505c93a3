import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { QuietHours } from "../../../../protocol/preferences.ts";
import { isQuiet, timeOf, wallOf } from "./quiet-hours.fixture.ts";
import { isTimeZone, quietUntil, zonesKnown, zonesMax } from "./quiet-hours.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** When it ends for somebody at that time of UTC, as UTC; "not quiet" otherwise. */
function untilAt(now: string, time_zone: string, hours: string, days?: number[]): string {
  const [from = "", to = ""] = hours.split("-");
  const quiet_hours = { from, to, ...(days === undefined ? {} : { days }) };
  const until = quietUntil({ time_zone, quiet_hours }, Date.parse(now));
  return until === undefined ? "not quiet" : new Date(until).toISOString().replace(/(:00)?\.000Z$/, "Z");
}

test("a night in Moscow begins and ends at the millisecond", () => {
  const until = (now: string): string => untilAt(now, "Europe/Moscow", "22:00-08:00");
  assert.equal(until("2026-01-15T18:59:59.999Z"), "not quiet");
  assert.equal(until("2026-01-15T19:00:00.000Z"), "2026-01-16T05:00Z");
  assert.equal(until("2026-01-15T23:30:00.000Z"), "2026-01-16T05:00Z");
  assert.equal(until("2026-01-16T04:59:59.999Z"), "2026-01-16T05:00Z");
  assert.equal(until("2026-01-16T05:00:00.000Z"), "not quiet");
});

test("hours within a day begin and end at the millisecond", () => {
  const until = (now: string): string => untilAt(now, "Asia/Kathmandu", "13:00-14:30");
  assert.equal(until("2026-01-15T07:14:59.999Z"), "not quiet");
  assert.equal(until("2026-01-15T07:15:00.000Z"), "2026-01-15T08:45Z");
  assert.equal(until("2026-01-15T08:44:59.999Z"), "2026-01-15T08:45Z");
  assert.equal(until("2026-01-15T08:45:00.000Z"), "not quiet");
});

test("days are those on which the hours begin", () => {
  // 2026-01-16 is a Friday. The week also turns from Sunday to Monday.
  const night = (now: string, day: number): string => untilAt(now, "Europe/Moscow", "22:00-08:00", [day]);
  assert.equal(night("2026-01-15T20:00Z", 5), "not quiet");
  assert.equal(night("2026-01-16T03:00Z", 5), "not quiet");
  assert.equal(night("2026-01-16T20:00Z", 5), "2026-01-17T05:00Z");
  assert.equal(night("2026-01-17T03:00Z", 5), "2026-01-17T05:00Z");
  assert.equal(night("2026-01-17T20:00Z", 5), "not quiet");
  assert.equal(night("2026-01-19T03:00Z", 7), "2026-01-19T05:00Z");
  assert.equal(night("2026-01-19T03:00Z", 1), "not quiet");
  assert.equal(untilAt("2026-01-16T10:00Z", "Europe/Moscow", "12:00-14:00", [5]), "2026-01-16T11:00Z");
  assert.equal(untilAt("2026-01-16T10:00Z", "Europe/Moscow", "12:00-14:00", [4, 6]), "not quiet");
});

test("whoever has no quiet hours, or empty ones, is never quiet", () => {
  assert.equal(quietUntil({ time_zone: "Europe/Moscow", quiet_hours: null }, 0), undefined);
  for (const now of ["2026-01-15T07:59Z", "2026-01-15T08:00Z", "2026-01-15T20:00Z"]) {
    assert.equal(untilAt(now, "UTC", "08:00-08:00"), "not quiet");
  }
});

test("the one minute of a day that is not quiet ends them", () => {
  assert.equal(untilAt("2026-01-15T08:00Z", "UTC", "08:00-07:59"), "2026-01-16T07:59Z");
  assert.equal(untilAt("2026-01-15T07:59Z", "UTC", "08:00-07:59"), "not quiet");
});

test("where the clock jumps over their end, they end at the jump, unless it jumps into them again", () => {
  // Berlin goes from 02:00 to 03:00, at 01:00 of UTC.
  const berlin = (hours: string): string => untilAt("2026-03-28T23:30Z", "Europe/Berlin", hours);
  assert.equal(berlin("22:00-02:30"), "2026-03-29T01:00Z");
  assert.equal(berlin("22:00-02:00"), "2026-03-29T01:00Z");
  assert.equal(berlin("22:00-03:00"), "2026-03-29T01:00Z");
  assert.equal(berlin("22:00-08:00"), "2026-03-29T06:00Z");
  assert.equal(berlin("03:00-02:00"), "2026-03-30T00:00Z");
  // Jerusalem jumps as the day of UTC turns: the minute before still has the old time.
  assert.equal(untilAt("2026-03-26T23:59Z", "Asia/Jerusalem", "01:30-02:30"), "2026-03-27T00:00Z");
  assert.equal(untilAt("2026-03-26T23:59Z", "Asia/Jerusalem", "02:00-04:00"), "not quiet");
  // The half hour of Lord Howe, and the two of Troll.
  assert.equal(untilAt("2026-10-03T14:00Z", "Australia/Lord_Howe", "22:00-02:15"), "2026-10-03T15:30Z");
  assert.equal(untilAt("2026-10-03T14:00Z", "Australia/Lord_Howe", "22:00-08:00"), "2026-10-03T21:00Z");
  assert.equal(untilAt("2026-03-29T00:30Z", "Antarctica/Troll", "22:00-02:00"), "2026-03-29T01:00Z");
});

test("where the clock shows their end twice, they end the first time, and hours shown again are quiet again", () => {
  // Berlin goes from 03:00 back to 02:00, and New York from 02:00 to 01:00.
  assert.equal(untilAt("2026-10-24T22:00Z", "Europe/Berlin", "22:00-02:30"), "2026-10-25T00:30Z");
  assert.equal(untilAt("2026-10-25T00:30Z", "Europe/Berlin", "22:00-02:30"), "not quiet");
  assert.equal(untilAt("2026-10-25T01:00Z", "Europe/Berlin", "22:00-02:30"), "2026-10-25T01:30Z");
  assert.equal(untilAt("2026-10-24T22:00Z", "Europe/Berlin", "22:00-08:00"), "2026-10-25T07:00Z");
  assert.equal(untilAt("2026-11-01T05:30Z", "America/New_York", "01:30-02:00"), "2026-11-01T06:00Z");
  assert.equal(untilAt("2026-11-01T06:00Z", "America/New_York", "01:30-02:00"), "not quiet");
  assert.equal(untilAt("2026-11-01T06:30Z", "America/New_York", "01:30-02:00"), "2026-11-01T07:00Z");
});

test("of a day that a zone skips nothing is quiet, and what began before it may end at the skip", () => {
  // To Samoa no 30 December 2011 came, which would have been a Friday: from Thursday 24:00 it was Saturday 00:00.
  const samoa = (now: string, days: number[]): string => untilAt(now, "Pacific/Apia", "22:00-08:00", days);
  assert.equal(samoa("2011-12-30T09:00Z", [4]), "2011-12-30T10:00Z");
  assert.equal(samoa("2011-12-30T09:00Z", [4, 5]), "2011-12-30T18:00Z");
  assert.equal(samoa("2011-12-30T10:00Z", [4]), "not quiet");
  assert.equal(samoa("2011-12-30T10:00Z", [5]), "2011-12-30T18:00Z");
});

test("zones are those that have a name in Intl, in any case", () => {
  for (const name of ["Europe/Moscow", "europe/moscow", "UTC", "Etc/GMT+3", "EST5EDT", "Asia/Calcutta"]) {
    assert.ok(isTimeZone(name), name);
  }
  // A known zone must not vouch for a name that only looks like it: the K is the sign of Kelvin.
  assert.ok(isTimeZone("Asia/Kolkata"));
  const refused = ["", "Europe", "Europe/Mosco", "MSK", "+03", "+0300", "+03:00", "-01:30", "GMT+3", " UTC"];
  for (const name of [...refused, "Asia/\u212Aolkata"]) assert.ok(!isTimeZone(name), name);
});

test("in a zone that is not known nobody is quiet, and such names are not kept", () => {
  const known = zonesKnown();
  for (let i = 0; i < 100; i++) {
    assert.equal(untilAt("2026-01-15T23:00Z", `Nowhere/At_${i}`, "22:00-08:00"), "not quiet");
    assert.equal(untilAt("2026-01-15T23:00Z", `+${10 + (i % 10)}`, "00:00-23:59"), "not quiet");
  }
  assert.equal(zonesKnown(), known);
});

test("all zones of the world are known at once, each by one name", () => {
  const names = Intl.supportedValuesOf("timeZone");
  for (const name of names) assert.ok(isTimeZone(name), name);
  const known = zonesKnown();
  assert.ok(known >= names.length && known <= zonesMax, `${known} zones`);
  for (const name of names) assert.ok(isTimeZone(name.toUpperCase()), name);
  assert.equal(zonesKnown(), known);
});

test("Intl is asked for a zone and for each day once, however many live there", (t) => {
  const asked = t.mock.method(Intl, "DateTimeFormat");
  const names = ["Europe/Paris", "America/Lima", "Asia/Tokyo"];
  for (let i = 0; i < 1_000; i++) {
    for (const name of names) untilAt("2035-05-05T05:05Z", name, `${10 + (i % 14)}:00-08:30`);
  }
  // Whether there is such a zone, the day, and the next one, on which some of the hours end.
  assert.ok(asked.mock.callCount() <= names.length * 3, `${asked.mock.callCount()} times`);
  assert.ok(asked.mock.callCount() >= names.length, `${asked.mock.callCount()} times`);
});

test("days that are no longer remembered are read again", () => {
  const nights = Array.from({ length: 40 }, (_, i) => Date.UTC(2026, 9, 1 + i, 14));
  const ends = (): string[] =>
    nights.map((now) => untilAt(new Date(now).toISOString(), "Australia/Lord_Howe", "22:00-08:00").slice(11));
  // Eight in the morning there is 21:30 of UTC, and 21:00 from the change of the 3rd on.
  assert.deepEqual(ends(), ends());
  assert.deepEqual([...new Set(ends())], ["21:30Z", "21:00Z"]);
});

const firstMs = Date.UTC(2000, 0, 1);
const lastMs = Date.UTC(2041, 0, 1);
const changesOf = new Map<string, readonly number[]>();

/** The moments at which a zone changes its clock. Of a zone that never does: any moment. */
function changesIn(zone: string): readonly number[] {
  const found = changesOf.get(zone);
  if (found !== undefined) return found;
  const wall = wallOf(zone);
  const ahead = (ms: number): number => wall(ms) - ms;
  const changes: number[] = [];
  let known = ahead(firstMs);
  for (let at = firstMs; at < lastMs; at += 3 * dayMs) {
    let [before, after] = [at, at + 3 * dayMs];
    const was = known;
    known = ahead(after);
    if (was === known) continue;
    while (after - before > minuteMs) {
      const middle = Math.floor((before + after) / 2 / minuteMs) * minuteMs;
      if (ahead(middle) === was) before = middle;
      else after = middle;
    }
    changes.push(after);
  }
  const some = changes.length > 0 ? changes : [Date.UTC(2026, 0, 1)];
  changesOf.set(zone, some);
  return some;
}

const minuteOfDay = fc.nat({ max: 24 * 60 - 1 });
const zone = fc.constantFrom(...Intl.supportedValuesOf("timeZone"));
const moment = fc.oneof(
  fc.record({ change: fc.nat(), plusMs: fc.integer({ min: -dayMs * 1.5, max: dayMs / 2 }) }),
  fc.record({ change: fc.nat(), plusMs: fc.integer({ min: -180, max: 180 }).map((of) => of * minuteMs) }),
  fc.integer({ min: firstMs, max: lastMs }),
);
/** A time of the day, or one that is near to what the wall shows then or a minute before. */
const dayTime = fc.oneof(
  minuteOfDay.map((minute) => ({ minute })),
  fc.record({ beforeMs: fc.constantFrom(0, minuteMs), plus: fc.integer({ min: -90, max: 90 }) }),
);
const example = fc.record(
  {
    zone,
    moment,
    from: dayTime,
    // Or all of the day but some minutes.
    to: fc.oneof(dayTime, fc.record({ earlier: fc.integer({ min: 1, max: 60 }) })),
    days: fc.subarray([1, 2, 3, 4, 5, 6, 7], { minLength: 1 }),
  },
  { requiredKeys: ["zone", "moment", "from", "to"] },
);

test("in any zone, it is quiet at each minute until they end, and not then", () => {
  let quiet = 0;
  const check = fc.property(example, ({ zone, moment, from, to, days }) => {
    const wall = wallOf(zone);
    const changes = changesIn(zone);
    const change = typeof moment === "number" ? moment : (changes[moment.change % changes.length] ?? 0);
    const now = typeof moment === "number" ? moment : change + moment.plusMs;
    const read = (of: typeof from): string => {
      if ("minute" in of) return timeOf(of.minute * minuteMs);
      return timeOf(wall(change - of.beforeMs) + of.plus * minuteMs);
    };
    const hours: QuietHours = {
      from: read(from),
      to: "earlier" in to ? timeOf(wall(change) - to.earlier * minuteMs) : read(to),
      ...(days === undefined ? {} : { days }),
    };
    if ("earlier" in to) hours.from = timeOf(wall(change));
    const until = quietUntil({ time_zone: zone, quiet_hours: hours }, now);
    const shown = `${JSON.stringify(hours)} in ${zone} at ${new Date(now).toISOString()}: ${until}`;
    assert.equal(until !== undefined, isQuiet(hours, wall(now)), shown);
    if (until === undefined) return;
    quiet += 1;
    assert.ok(until > now, shown);
    assert.ok(!isQuiet(hours, wall(until)), shown);
    assert.ok(isQuiet(hours, wall(until - 1)), shown);
    for (let at = now; at < until; at += minuteMs) assert.ok(isQuiet(hours, wall(at)), shown);
  });
  const runs = 300;
  fc.assert(check, { numRuns: runs });
  assert.ok(quiet > runs / 10, `${quiet} of ${runs} were quiet`);
});
