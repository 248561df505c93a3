import { isBroadcastPlace } from "../../../protocol/broadcast-rules.ts";
import type { PlainBacklog } from "../../deps.ts";
import { compareStreamIds } from "./notification-row.ts";
import { createdIn, pushText, readIn } from "./plain-frames.ts";
import type { ReplayUnread } from "./replay.ts";
import { replayPageRows } from "./store.ts";

/**
 * All that is unread. What comes while that is read may be in it, or have been read on another device since. Of one person's
 * own, and of broadcasts, what comes later has the later place: so what is not beyond the last that was told was told
 * itself, or is over. What is read of broadcasts comes in the person's own topic, which is looked at first.
 */
export function backlogOf(replay: ReplayUnread, userId: number): PlainBacklog {
  const last = { own: "0-0", shared: "0-0" };
  const read = new Set<string>();
  return {
    texts: unreadOf(replay, userId, (streamId) => {
      last[isBroadcastPlace(streamId) ? "shared" : "own"] = streamId;
    }),
    isNews: (type, data) => {
      if (type === "notification.marked") {
        for (const { notification_id: id } of readIn(data)) read.add(id);
      }
      const { notification_id: id, stream_id: place } = createdIn(type, data) ?? {};
      if (id === undefined || place === undefined) return true;
      return !read.has(id) && compareStreamIds(place, last[isBroadcastPlace(place) ? "shared" : "own"]) > 0;
    },
  };
}

async function* unreadOf(
  replay: ReplayUnread,
  userId: number,
  onTold: (streamId: string) => void,
): AsyncIterable<readonly string[]> {
  for (let after = "0-0"; ;) {
    const page = await replay({ userId, after });
    for (const { stream_id: streamId } of page) onTold(streamId);
    const last = page.at(-1);
    if (last !== undefined) yield page.map(pushText);
    if (last === undefined || page.length < replayPageRows) return;
    after = last.stream_id;
  }
}
