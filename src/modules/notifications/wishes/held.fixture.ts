import assert from "node:assert/strict";
import type { NotificationCreatedData } from "../../../../protocol/notifications.ts";
import type { NewPreferences } from "../../../../protocol/preferences.ts";
import { parseData } from "../../../eventlog/eventlog.ts";
import type { NotifyAnswer } from "../decide-notify.ts";
import type { StoreUnderTest } from "../store-under-test.fixture.ts";

export const minuteMs = 60_000;
export const hourMs = 3_600_000;
export const each = { inbox: "each", push: true } as const;
export const digest = { inbox: "digest", push: true } as const;
export const off = { inbox: "off", push: true } as const;
/** The clock of the stage shows midnight. */
export const quietUntilSeven: NewPreferences = { quiet_hours: { from: "22:00", to: "07:00" } };

export function who(userId: number): { readonly userId: number; readonly actor: string } {
  return { userId, actor: `user:${userId}` };
}

/** For each target until when it is held; undefined for what is not. */
export function heldUntil(answer: NotifyAnswer | Error | undefined): readonly (string | undefined)[] {
  assert.ok(answer !== undefined && !(answer instanceof Error));
  return answer.results.map((result) => ("held_until" in result ? result.held_until : undefined));
}

type Log = Pick<StoreUnderTest, "entries">;

/** What a person was told by entries, in order. */
export async function told({ entries }: Log, userId: number): Promise<readonly NotificationCreatedData[]> {
  const own = (await entries(userId)).filter(({ type }) => type === "notification.created");
  return own.map((entry) => parseData(entry));
}

export async function wordsTold(log: Log, userId: number): Promise<readonly string[]> {
  return (await told(log, userId)).map(({ notification }) => notification.message);
}
