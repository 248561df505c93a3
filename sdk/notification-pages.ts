import { limits } from "../protocol/limits.ts";
import type { NotificationPage } from "../protocol/notifications.ts";
import { clientError } from "./errors.ts";
import { readsMax } from "./journal.ts";
import type { NotificationCalls } from "./notification-calls.ts";
import {
  type NotificationsState,
  compareStreamIds,
  isOutdated,
  notificationsKeptMax,
} from "./notification-state.ts";

/** What is known at any moment, and where a page goes: the first one, or one of what comes before `before`. */
export type PageTaker = {
  readonly state: () => NotificationsState;
  readonly take: (page: NotificationPage, before: string | undefined) => void;
};

/** Reads as many unread ones as are kept, the newest first. A page that entries have overtaken is read again. */
export async function readUnreadPages(
  calls: Pick<NotificationCalls, "list">,
  { state, take }: PageTaker,
): Promise<void> {
  let cursor: string | undefined;
  let before: string | undefined;
  for (let outdated = 0; ;) {
    const query = { state: "unread", limit: limits.pageRows } as const;
    const page = await calls.list(cursor === undefined ? query : { ...query, cursor });
    if (isOutdated(state(), page)) {
      if (++outdated >= readsMax) throw clientError("outpaced");
      continue;
    }
    take(page, before);
    const last = page.notifications.at(-1);
    if (page.next_cursor === null || last === undefined || isCovered(state(), last.stream_id)) return;
    cursor = page.next_cursor;
    before = last.stream_id;
    outdated = 0;
  }
}

/** Whether as many as are kept come after this place. */
function isCovered({ notifications }: NotificationsState, from: string): boolean {
  const [oldest] = notifications;
  if (oldest === undefined || notifications.length < notificationsKeptMax) return false;
  return compareStreamIds(from, oldest.stream_id) <= 0;
}
