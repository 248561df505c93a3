import { hidesBroadcast } from "../../../../protocol/broadcast-rules.ts";
import type { BroadcastList } from "../../../../protocol/broadcasts.ts";
import type { MarkedState, Notification } from "../../../../protocol/notifications.ts";
import { type Preferences, defaultPreferences } from "../../../../protocol/preferences.ts";
import { type Queryable, arrayLiteral } from "../../../lib/db.ts";
import { type NotificationRow, toNotification } from "../notification-row.ts";

/** What a person wishes, and what they did with broadcasts, by the version with which each came. */
export type BroadcastWishes = {
  readonly preferences: Preferences;
  readonly marks: Readonly<Record<string, MarkedState>>;
};

/** What lives at a moment, the oldest first, as it is for who has done nothing with it. */
export type LivingBroadcasts = {
  readonly version: number;
  readonly broadcasts: readonly { readonly version: number; readonly broadcast: Notification }[];
};

const nothingDone: BroadcastWishes = { preferences: defaultPreferences, marks: {} };

/** What these people wish and did, but for those of whom nothing is known. */
export async function readWishes(
  db: Queryable,
  userIds: readonly number[],
): Promise<ReadonlyMap<number, BroadcastWishes>> {
  const { rows } = await db.query<{
    user_id: number;
    preferences: Preferences | null;
    marks: BroadcastWishes["marks"];
  }>(
    `select user_id, preferences, broadcast_marks as marks from notification_person
      where user_id = any($1::bigint[]) and (preferences is not null or broadcast_marks <> '{}')`,
    [arrayLiteral(userIds)],
    { name: "notification_broadcast_wishes" },
  );
  return new Map(
    rows.map(({ user_id: userId, preferences, marks }) => [
      userId,
      { preferences: preferences ?? defaultPreferences, marks },
    ]),
  );
}

/**
 * Read after the wishes of those for whom it is: a mark of what lives is never forgotten, so none is missing then that was
 * made before.
 */
export async function readLiving(db: Queryable, nowMs: number): Promise<LivingBroadcasts> {
  const { rows } = await db.query<
    { ledger: number; version: number } & (Omit<NotificationRow, "user_id"> | { readonly id: null })
  >(
    `select l.version as ledger, b.*, 'unread' as state, 1 as gathered
       from notification_broadcast_ledger l left join notification_broadcast b on b.expires_at > $1
      order by b.stream_ms, b.stream_n`,
    [new Date(nowMs)],
    { name: "notification_broadcast_living" },
  );
  return {
    version: rows[0]?.ledger ?? 0,
    broadcasts: rows.flatMap((row) =>
      row.id === null ? [] : [{ version: row.version, broadcast: toNotification(row) }],
    ),
  };
}

/** What one person has of it, the oldest first: without what they have archived or turned off. */
export function broadcastsOf(
  { broadcasts }: LivingBroadcasts,
  { marks, preferences }: BroadcastWishes = nothingDone,
  nowMs: number,
): readonly Notification[] {
  return broadcasts.flatMap(({ version, broadcast }) => {
    const status = marks[String(version)] ?? "unread";
    if (status === "archived" || hidesBroadcast(preferences, broadcast, nowMs)) return [];
    return [{ ...broadcast, status }];
  });
}

/** What each of these people has of it, in their order: two statements, however many they are. */
export async function listBroadcasts(
  db: Queryable,
  userIds: readonly number[],
  nowMs: number,
): Promise<readonly BroadcastList[]> {
  const wishes = await readWishes(db, userIds);
  const living = await readLiving(db, nowMs);
  return userIds.map((userId) => listOf(living, wishes.get(userId), nowMs));
}

/** All that lives, as somebody has it who has done and wished nothing. */
export async function listLiving(db: Queryable, nowMs: number): Promise<BroadcastList> {
  return listOf(await readLiving(db, nowMs), nothingDone, nowMs);
}

function listOf(living: LivingBroadcasts, own: BroadcastWishes = nothingDone, nowMs: number): BroadcastList {
  const broadcasts = broadcastsOf(living, own, nowMs).toReversed();
  const unread = broadcasts.filter(countsAsUnread).length;
  return { broadcasts, unread, version: living.version, preferences: own.preferences };
}

export function countsAsUnread({ status }: Pick<Notification, "status">): boolean {
  return status === "unread" || status === "seen";
}
