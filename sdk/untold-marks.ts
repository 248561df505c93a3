import { limits } from "../protocol/limits.ts";
import type { MarkedState, Unread } from "../protocol/notifications.ts";
import type { NotificationCalls } from "./notification-calls.ts";

/** The server's answer to a mark, and what that was of: some, or all up to one. */
export type ToldMark = {
  readonly told: Unread;
  readonly marked: { readonly ids: ReadonlySet<string> } | { readonly upTo: string };
};

/** All up to this place were read. */
export async function tellUpTo(calls: Pick<NotificationCalls, "mark">, upTo: string): Promise<ToldMark> {
  return { told: await calls.mark({ state: "read", up_to: upTo }), marked: { upTo } };
}

/** What was marked on this device, of which the server is not known to know. */
export class UntoldMarks {
  readonly #waiting: Readonly<Record<MarkedState, Set<string>>> = {
    seen: new Set(),
    read: new Set(),
    archived: new Set(),
  };

  add(state: MarkedState, ids: readonly string[]): void {
    for (const id of ids) this.#waiting[state].add(id);
  }

  /** As many as one request may name. Resolves with the answer and which these were; undefined when nothing is left. */
  async tellSome(calls: Pick<NotificationCalls, "mark">): Promise<ToldMark | undefined> {
    const state = (["read", "archived", "seen"] as const).find((one) => this.#waiting[one].size > 0);
    if (state === undefined) return undefined;
    const waiting = this.#waiting[state];
    const ids = new Set([...waiting].slice(0, limits.marksPerRequest));
    const told = await calls.mark({ state, notification_ids: [...ids] });
    for (const id of ids) waiting.delete(id);
    return { told, marked: { ids } };
  }

  clear(): void {
    for (const waiting of Object.values(this.#waiting)) waiting.clear();
  }
}
