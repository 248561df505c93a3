import type { BroadcastCreatedData } from "../../../protocol/broadcasts.ts";
import {
  type Notification,
  type NotificationCreatedData,
  type NotificationMarkedData,
  SeedPush,
  SeedRead,
  SeedReadAck,
} from "../../../protocol/notifications.ts";
import { topics } from "../../../protocol/topics.ts";
import { Type } from "typebox";
import { type Actor, actorName, personOf } from "../../access/actor.ts";
import type { PlainForm } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { createCheck } from "../../schema/check.ts";
import type { ReplayUnread } from "./replay.ts";
import { type NotificationStore, replayPageRows } from "./store.ts";

/**
 * The seed's WebSocket, for connections that name a `user_id` or a `login`: every unread notification again, in order,
 * broadcasts among them, then each new one; the client says which it has read. What is read on one device is acknowledged
 * on all.
 */
export function createPlain(store: NotificationStore, replay: ReplayUnread): PlainForm {
  const check = createCheck(SeedRead);
  return {
    name: "notifications",
    isAskedFor: (parameters) => parameters.has("user_id") || parameters.has("login"),
    frames: { sent: SeedRead, heard: Type.Union([SeedPush, SeedReadAck]) },
    topics: async (actor, parameters) => {
      const { id, username } = personOf(actor);
      requireSame(parameters, "user_id", String(id));
      requireSame(parameters, "login", username);
      return [topics.user(id), topics.everybody()];
    },
    backlog: (actor) => unreadOf(replay, actor),
    render: (_topic, type, data, nowMs) => {
      // Of what was redacted nothing is left to show.
      if (type === "notification.created") {
        const { notification } = data as Partial<NotificationCreatedData>;
        return pushUnlessOver(notification, nowMs);
      }
      if (type === "broadcast.created") {
        // All who listen are told the same: who has turned it off hears it now, and never again.
        const { broadcast } = data as Partial<BroadcastCreatedData>;
        return pushUnlessOver(broadcast, nowMs);
      }
      if (type !== "notification.marked") return [];
      const { state, notifications = [] } = data as Partial<NotificationMarkedData>;
      if (state === undefined || state === "seen") return [];
      return notifications.map((place) => ackText(place));
    },
    accepts: (frame) => frame["type"] === "notification.read",
    handle: async ({ actor, params, isHeard }) => {
      const fields = check(params);
      if (fields !== undefined) throw new AppError("invalid_body", { fields });
      const { data } = params as SeedRead;
      const { marked } = await store.mark(
        { userId: personOf(actor).id, actor: actorName(actor) },
        { state: "read", notification_ids: [data.notification_id] },
      );
      // What changed something is acknowledged to all devices, this one too if it hears that, by its entry.
      return marked.length > 0 && isHeard ? undefined : { type: "notification.read.ack", data };
    },
  };
}

/** The token says who somebody is. Parameters are only asked to agree. */
function requireSame(parameters: URLSearchParams, name: string, own: string): void {
  const given = parameters.getAll(name);
  if (given.every((value) => value === own)) return;
  throw new AppError("forbidden", { detail: `the token says who you are, and it is not whom ${name} names` });
}

async function* unreadOf(replay: ReplayUnread, actor: Actor): AsyncIterable<readonly string[]> {
  const userId = personOf(actor).id;
  for (let after = "0-0"; ;) {
    const page = await replay({ userId, after });
    const last = page.at(-1);
    if (last !== undefined) yield page.map(pushText);
    if (last === undefined || page.length < replayPageRows) return;
    after = last.stream_id;
  }
}

/** Whoever was slow to take it, or the log to tell it: what has ended meanwhile is not pushed. */
function pushUnlessOver(notification: Notification | undefined, nowMs: number): readonly string[] {
  const isOver = notification === undefined || Date.parse(notification.expires_at) <= nowMs;
  return isOver ? [] : [pushText(notification)];
}

/** The seed's frame: nothing but its own fields. */
function pushText({ notification_id, stream_id, message, created_at, source, status }: Notification): string {
  // As the seed writes times: no more of the fraction than there is.
  const time = created_at.replace(/\.(\d*?)0+Z$/, (_, digits: string) =>
    digits === "" ? "Z" : `.${digits}Z`,
  );
  const data = { notification_id, stream_id, message, created_at: time, source, status };
  return JSON.stringify({ type: "notification.push", data });
}

function ackText({ notification_id, stream_id }: { notification_id: string; stream_id: string }): string {
  return JSON.stringify({ type: "notification.read.ack", data: { notification_id, stream_id } });
}
