import { type SessionEndedData, sessionEnded } from "../protocol/accounts.ts";
import { uuidv7 } from "../protocol/ids.ts";
import { topics } from "../protocol/topics.ts";
import type { AnnounceEnd } from "./access/sessions.ts";
import { type EventLog, jsonText } from "./eventlog/eventlog.ts";

/** Tells a person's devices through the log, so that every gateway hears of it and closes their connections. */
export function announceSessionEnds(eventlog: Pick<EventLog, "appendIn">): AnnounceEnd {
  return (tx, { userId, sessionIds, reason, by }) => {
    const ends: readonly SessionEndedData[] =
      sessionIds === undefined ? [{ reason }] : sessionIds.map((id) => ({ session_id: id, reason }));
    return eventlog.appendIn(
      tx,
      ends.map((data) => ({
        id: uuidv7(),
        topic: topics.user(userId),
        type: sessionEnded,
        actor: by,
        data: jsonText(data),
      })),
    );
  };
}
