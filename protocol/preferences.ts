import { Type } from "typebox";
import { limits } from "./limits.ts";
import { Category, SentTime } from "./notifications.ts";

/** What people wish of their notifications: which, on which channel, and when. */

const strict = { additionalProperties: false } as const;

export const dayTimePattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
const DayTime = Type.String({
  pattern: dayTimePattern,
  "x-detail": "a time of the day, such as 22:00",
});

/**
 * From when to when somebody is left in peace, by their own clock. Where `to` is earlier than `from` it is that of the
 * next day. Without `days` it begins every day; with them, on these: 1 is Monday, 7 is Sunday.
 */
export const QuietHours = Type.Object(
  {
    from: DayTime,
    to: DayTime,
    days: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), {
        minItems: 1,
        maxItems: 7,
        description: "the days on which they begin: 1 is Monday, 7 is Sunday; every day unless given",
      }),
    ),
  },
  strict,
);
export type QuietHours = { from: string; to: string; days?: number[] };

export const inboxWishes = ["each", "digest", "off"] as const;
/** `each`: told one by one. `digest`: gathered, and told as one. `off`: not told at all, on no channel. */
export type InboxWish = (typeof inboxWishes)[number];

export const CategoryWish = Type.Object(
  {
    inbox: Type.Union(
      inboxWishes.map((wish) => Type.Literal(wish)),
      {
        description:
          "`each`: one by one; `digest`: gathered, and told as one; `off`: not told at all, on no channel",
      },
    ),
    push: Type.Boolean({ description: "by web push, too, when no device is connected" }),
  },
  strict,
);
export type CategoryWish = { inbox: InboxWish; push: boolean };

const timeZone = Type.String({
  minLength: 1,
  maxLength: limits.nameLength,
  pattern: "^[A-Za-z0-9_+/-]+$",
  "x-detail": "a time zone by its IANA name, such as Europe/Moscow",
  description: "by its IANA name; quiet hours are by its clock",
});
const mutedUntil = Type.Union([SentTime, Type.Null()]);
const digestMinutes = Type.Integer({
  minimum: limits.digestMinutesMin,
  maximum: limits.digestMinutes,
  description: "how long a digest gathers, from the first one in it",
});
/** By category. The rule for names stands there by itself too, so that a refusal can say it. */
const byCategory = { ...strict, propertyNames: Category, maxProperties: limits.categoryWishes };
const categories = Type.Record(Category, CategoryWish, byCategory);

const { inbox, push } = CategoryWish.properties;
/** A wish as it is said: what is left out is as in `default`, and of that as it is for everybody. */
const NewCategoryWish = Type.Object({ inbox: Type.Optional(inbox), push: Type.Optional(push) }, strict);
export type NewCategoryWish = Partial<CategoryWish>;

/**
 * Body of `PUT /api/v1/notifications/preferences`: the whole of them. What is left out is as it is for everybody, and of a
 * category's wish as in `default`.
 */
export const NewPreferences = Type.Object(
  {
    time_zone: Type.Optional(timeZone),
    quiet_hours: Type.Optional(Type.Union([QuietHours, Type.Null()])),
    muted_until: Type.Optional(mutedUntil),
    digest_minutes: Type.Optional(digestMinutes),
    default: Type.Optional(NewCategoryWish),
    categories: Type.Optional(Type.Record(Category, NewCategoryWish, byCategory)),
  },
  {
    ...strict,
    examples: [
      {
        time_zone: "Europe/Moscow",
        quiet_hours: { from: "22:00", to: "08:00" },
        categories: { news: { inbox: "digest", push: false }, marketing: { inbox: "off", push: false } },
      },
    ],
  },
);
export type NewPreferences = Partial<Omit<Preferences, "default" | "categories">> & {
  default?: NewCategoryWish;
  categories?: Record<string, NewCategoryWish>;
};

/** What somebody wishes. Of what is critical they are told at once all the same. */
export const Preferences = Type.Object(
  {
    time_zone: timeZone,
    quiet_hours: Type.Union([QuietHours, Type.Null()], {
      description: "what is told meanwhile is held, and told when they end",
    }),
    muted_until: Type.Union([Type.String({ format: "date-time" }), Type.Null()], {
      description: "until then nothing is told at all; what a program would tell is not kept for later",
    }),
    digest_minutes: digestMinutes,
    default: CategoryWish,
    categories,
  },
  strict,
);
export type Preferences = {
  time_zone: string;
  quiet_hours: QuietHours | null;
  muted_until: string | null;
  digest_minutes: number;
  /** For every category that `categories` does not name. */
  default: CategoryWish;
  categories: Record<string, CategoryWish>;
};

/** What holds for who has wished nothing. */
export const defaultPreferences: Preferences = {
  time_zone: "UTC",
  quiet_hours: null,
  muted_until: null,
  digest_minutes: 60,
  default: { inbox: "each", push: true },
  categories: {},
};

/** Data of `notification.preferences`: these hold from now on. */
export const PreferencesChangedData = Type.Object({ preferences: Preferences }, strict);
export type PreferencesChangedData = { preferences: Preferences };
