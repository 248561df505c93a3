import { Type } from "typebox";
import { SeedPush, SeedRead, SeedReadAck } from "../../../protocol/notifications.ts";
import { topics } from "../../../protocol/topics.ts";
import { actorName, personOf } from "../../access/actor.ts";
import type { PlainForm } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { createCheck } from "../../schema/check.ts";
import { backlogOf } from "./plain-backlog.ts";
import { ackText, createdIn, pushText, readIn } from "./plain-frames.ts";
import type { ReplayUnread } from "./replay.ts";
import type { NotificationStore } from "./store.ts";

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
