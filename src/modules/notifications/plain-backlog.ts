import type { PlainBacklog } from "../../deps.ts";
import { compareStreamIds } from "./notification-row.ts";
import { createdIn, pushText, readIn } from "./plain-frames.ts";
import type { ReplayUnread } from "./replay.ts";
import { kindOfPlace, replayPageRows, toldNothing, toldWith } from "./store.ts";

/**
 * All that is unread. What comes while that is read may be in it, or have been read on another device since. Of one person's
 * own, and of broadcasts, what comes later has the later place, and pages go on from the last of each: so what is not
 * beyond the last that was told was told itself, or is over. What is read of broadcasts comes in the person's own topic, which is looked at first.
 */
export function backlogOf(replay: ReplayUnread, userId: number): PlainBacklog {
  let told = toldNothing;
  const read = new Set<string>();
  async function* texts(): AsyncIterable<readonly string[]> {
    for (;;) {
      const page = await replay({ userId, after: told });
      told = toldWith(told, page);
      if (page.length > 0) yield page.map(pushText);
      if (page.length < replayPageRows) return;
    }
  }
  return {
    texts: texts(),
    isNews: (type, data) => {
      if (type === "notification.marked") {
        for (const { notification_id: id } of readIn(data)) read.add(id);
      }
      const { notification_id: id, stream_id: place } = createdIn(type, data) ?? {};
      if (id === undefined || place === undefined) return true;
      return !read.has(id) && compareStreamIds(place, told[kindOfPlace(place)]) > 0;
    },
  };
}
