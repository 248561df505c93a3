import type { BroadcastCreatedData } from "../../../protocol/broadcasts.ts";
import {
  type Notification,
  type NotificationCreatedData,
  type NotificationMarkedData,
  type Place,
  SeedPush,
  SeedRead,
  SeedReadAck,
} from "../../../protocol/notifications.ts";
import { topics } from "../../../protocol/topics.ts";
import { Type } from "typebox";
import { actorName, personOf } from "../../access/actor.ts";
import type { PlainBacklog, PlainForm } from "../../deps.ts";
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
    backlog: (actor) => backlogOf(replay, personOf(actor).id),
    render: (_topic, type, data, nowMs) => {
      if (type === "notification.marked") return readIn(data).map((place) => ackText(place));
      const notification = createdIn(type, data);
      // Whoever was slow to take it, or the log to tell it: what has ended meanwhile is not pushed.
      const isOver = notification === undefined || Date.parse(notification.expires_at) <= nowMs;
      return isOver ? [] : [pushText(notification)];
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

/**
 * All that is unread. What comes while that is read may be in it, or have been read on another device since: what a device
 * reads of broadcasts comes in the person's own topic, which is looked at first, so that none is told after its end.
 */
function backlogOf(replay: ReplayUnread, userId: number): PlainBacklog {
  const known = new Set<string>();
  return {
    texts: unreadOf(replay, userId, known),
    isNews: (type, data) => {
      if (type === "notification.marked") {
        for (const { notification_id: id } of readIn(data)) known.add(id);
      }
      const id = createdIn(type, data)?.notification_id;
      return id === undefined || !known.has(id);
    },
  };
}

async function* unreadOf(
  replay: ReplayUnread,
  userId: number,
  known: Set<string>,
): AsyncIterable<readonly string[]> {
  for (let after = "0-0"; ;) {
    const page = await replay({ userId, after });
    for (const { notification_id: id } of page) known.add(id);
    const last = page.at(-1);
    if (last !== undefined) yield page.map(pushText);
    if (last === undefined || page.length < replayPageRows) return;
    after = last.stream_id;
  }
}

/** What the entry tells of for the first time; nothing when it tells of something else, or was redacted. */
function createdIn(type: string, data: unknown): Notification | undefined {
  if (type === "notification.created") return (data as Partial<NotificationCreatedData>).notification;
  // All who listen are told the same: who has turned it off hears it now, and never again.
  if (type === "broadcast.created") return (data as Partial<BroadcastCreatedData>).broadcast;
  return undefined;
}

/** The places of what the entry says is read. */
function readIn(data: unknown): readonly Place[] {
  const { state, notifications = [] } = data as Partial<NotificationMarkedData>;
  return state === undefined || state === "seen" ? [] : notifications;
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

function ackText({ notification_id, stream_id }: Place): string {
  return JSON.stringify({ type: "notification.read.ack", data: { notification_id, stream_id } });
}
