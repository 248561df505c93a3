import fc from "fast-check";
import { type NewPreferences, inboxWishes } from "../../../../protocol/preferences.ts";

const categories = ["general", "news"] as const;

/** Evenings, in zones of which each changes its clock in the night that follows. */
export const nights = [
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
export const mornings = ["01:30", "02:00", "02:15", "03:00", "07:00"] as const;

const dayTime = fc
  .tuple(fc.nat(23), fc.constantFrom(0, 1, 30, 59))
  .map(([hour, minute]) => `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`);
const quietHours = fc.record({ from: dayTime, to: dayTime }).filter(({ from, to }) => from !== to);
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

/** What happens to two people. */
export const step = fc.oneof(
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
