import type { BroadcastAccepted } from "../../protocol/broadcasts.ts";
import { generalRoomId } from "../../protocol/chat.ts";
import { limits } from "../../protocol/limits.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { topics } from "../../protocol/topics.ts";
import { password, signedInOf } from "../journeys/accounts.ts";
import { createPostgresStore } from "../../src/modules/notifications/postgres-store.ts";
import type { Cast, Columns, Stage } from "./cast.ts";

/** What a request of the socket is answered with: an answer, or an error of this code. */
export type RequestRow = {
  readonly params: (stage: Stage) => unknown;
  readonly by: Columns<string>;
};

const [no, yes] = [false, true];
const missing = "not_found";
const refused = "forbidden";

/**
 * Columns, here and below: anonymous, stranger, visitor, ex-member, member, moderator, owner, admin, key without the
 * scope, key with it.
 */
const ofMembers: RequestRow["by"] = [
  "unauthorized",
  missing,
  refused,
  missing,
  "answer",
  "answer",
  "answer",
  refused,
  refused,
  refused,
];

/** Every request of the socket. */
export const requests: Readonly<Record<string, RequestRow>> = {
  "message.send": {
    params: ({ roomId }) => ({ room_id: roomId, client_msg_id: uuidv7(), content: "Hello" }),
    // As over HTTP: who manages and is no member is told what strangers are told.
    by: ["unauthorized", missing, refused, missing, "answer", "answer", "answer", missing, refused, refused],
  },
  "read.mark": { params: ({ roomId }) => ({ room_id: roomId, seq: 1 }), by: ofMembers },
  "notifications.mark": {
    params: () => ({ state: "read", up_to: "0-0" }),
    by: [
      "unauthorized",
      "answer",
      "answer",
      "answer",
      "answer",
      "answer",
      "answer",
      "answer",
      refused,
      refused,
    ],
  },
  "typing.set": { params: ({ roomId }) => ({ room_id: roomId, on: true }), by: ofMembers },
};

/** What a test can do to make something happen. */
export type Scene = {
  readonly cast: Cast;
  readonly stage: Stage;
  /** The id of an entry that the topic has already. */
  readonly anEntryOf: (topic: string) => Promise<string>;
  /** Sends a request over a socket of the owner. */
  readonly ask: (name: string, params: unknown) => Promise<void>;
  /** Somebody who has no connection. */
  readonly passerBy: { readonly id: number; arrive(): Promise<void> };
};

/** Who hears something that is pushed, and how to make it happen. */
export type PushRow = {
  readonly by: Columns<boolean>;
  readonly topic: (scene: Scene) => string;
  readonly cause: (scene: Scene) => Promise<unknown>;
};

/** Whoever may read the room. */
function ofRoom(cause: (scene: Scene, path: string) => Promise<unknown>): PushRow {
  return {
    by: [no, no, yes, no, yes, yes, yes, yes, no, yes],
    topic: ({ stage }) => topics.room(stage.roomId),
    cause: (scene) => cause(scene, `/api/v1/rooms/${scene.stage.roomId}`),
  };
}

/** One person alone: the member. */
function ofMember(cause: PushRow["cause"]): PushRow {
  return {
    by: [no, no, no, no, yes, no, no, no, no, no],
    topic: ({ cast }) => topics.user(cast.person("member").user.id),
    cause,
  };
}

/** Everybody who is signed in. */
function ofPeople(cause: PushRow["cause"]): PushRow {
  return { by: [no, yes, yes, yes, yes, yes, yes, yes, no, no], topic: () => topics.everybody(), cause };
}

async function tellEverybody({ cast }: Scene): Promise<string> {
  const told = await cast.as("admin", "POST", "/api/v1/broadcasts", { message: "Hello", source: "matrix" });
  return (JSON.parse(told) as BroadcastAccepted).broadcast_id;
}

async function newRoom({ cast }: Scene): Promise<number> {
  const member_ids = [cast.person("member").user.id];
  const room = await cast.asOwner("POST", "/api/v1/rooms", { kind: "private", name: "other", member_ids });
  return (JSON.parse(room) as { id: number }).id;
}

async function redactIn({ cast, anEntryOf }: Scene, topic: string): Promise<void> {
  await cast.app.deps.eventlog.redact([await anEntryOf(topic)], "erased");
}

async function tellMember({ cast }: Scene): Promise<void> {
  const target = [{ id: cast.person("member").user.id }];
  await cast.as("admin", "POST", "/api/v1/notify", { target, message: "Hello", source: "matrix" });
}

/** Every entry that is pushed, by kind of topic and type. */
export const entries: Readonly<Record<string, PushRow>> = {
  "room message.created": ofRoom(({ cast }, path) =>
    cast.asOwner("POST", `${path}/messages`, { client_msg_id: uuidv7(), content: "Hello" }),
  ),
  "room message.edited": ofRoom(({ cast, stage }, path) =>
    cast.asOwner("PATCH", `${path}/messages/${stage.ownersMessage}`, { content: "Good day" }),
  ),
  "room message.deleted": ofRoom(({ cast, stage }, path) =>
    cast.asOwner("DELETE", `${path}/messages/${stage.ownersMessage}`),
  ),
  "room member.added": ofRoom(({ cast, stage }, path) =>
    cast.asOwner("POST", `${path}/members`, { user_ids: [stage.newcomer] }),
  ),
  "room member.changed": ofRoom(({ cast, stage }, path) =>
    cast.asOwner("PUT", `${path}/members/${stage.target}`, { role: "moderator" }),
  ),
  "room member.removed": ofRoom(({ cast, stage }, path) =>
    cast.asOwner("DELETE", `${path}/members/${stage.target}`),
  ),
  "room room.changed": ofRoom(({ cast }, path) => cast.asOwner("PATCH", path, { name: "renamed" })),
  "room eventlog.redacted": ofRoom((scene) => redactIn(scene, topics.room(scene.stage.roomId))),

  "user room.joined": ofMember(newRoom),
  "user room.left": ofMember(async (scene) => {
    const { cast } = scene;
    const path = `/api/v1/rooms/${await newRoom(scene)}/members/${cast.person("member").user.id}`;
    await cast.asOwner("DELETE", path);
  }),
  "user room.read": ofMember(({ cast, stage }) =>
    cast.as("member", "PUT", `/api/v1/rooms/${stage.roomId}/read`, { seq: 2 }),
  ),
  // Of another sign-in: the sockets of one that has ended are closed.
  "user session.ended": ofMember(async ({ cast }) => {
    const { refresh_token } = signedInOf(await cast.login("member", password));
    await cast.post("/api/v1/auth/logout", { refresh_token });
  }),
  "user account.changed": ofMember(({ cast }) =>
    cast.as("member", "PATCH", "/api/v1/me", { name: "Changed" }),
  ),
  "user notification.created": ofMember((scene) => tellMember(scene)),
  "user notification.marked": ofMember(async (scene) => {
    await tellMember(scene);
    const up_to = `${Date.now() + 60_000}-0`;
    await scene.cast.as("member", "POST", "/api/v1/notifications/mark", { state: "read", up_to });
  }),
  "user notification.preferences": ofMember(({ cast }) =>
    cast.as("member", "PUT", "/api/v1/notifications/preferences", { digest_minutes: 30 }),
  ),
  "user notification.expired": ofMember(async (scene) => {
    await tellMember(scene);
    const later = { now: () => Date.now() + limits.notificationTtlS * 1_000 };
    await createPostgresStore({ ...scene.cast.app.deps, clock: later }).expire(new AbortController().signal);
  }),
  "broadcast broadcast.created": ofPeople(tellEverybody),
  "broadcast broadcast.expired": ofPeople(async (scene) => {
    await scene.cast.as("admin", "DELETE", `/api/v1/broadcasts/${await tellEverybody(scene)}`);
  }),
  "broadcast eventlog.redacted": ofPeople(async (scene) => {
    await scene.cast.app.deps.eventlog.redact([await tellEverybody(scene)], "erased");
  }),
  "user eventlog.redacted": ofMember((scene) =>
    redactIn(scene, topics.user(scene.cast.person("member").user.id)),
  ),
};

/** Every signal, by kind of topic and name. */
export const signals: Readonly<Record<string, PushRow>> = {
  "room typing": ofRoom(({ ask, stage }) => ask("typing.set", { room_id: stage.roomId, on: true })),
  // Who is signed in can list everybody; programs have nobody on their screen.
  "presence presence": {
    by: [no, yes, yes, yes, yes, yes, yes, yes, no, no],
    topic: ({ passerBy }) => topics.presence(passerBy.id),
    cause: ({ passerBy }) => passerBy.arrive(),
  },
};

/** Connections without a subprotocol: who hears the messages of the room that is everybody's, and who sends there. */
export const plain: { readonly hears: Columns<boolean>; readonly sends: Columns<string> } = {
  hears: [no, yes, yes, yes, yes, yes, yes, yes, no, yes],
  sends: ["unauthorized", "sent", "sent", "sent", "sent", "sent", "sent", "sent", refused, refused],
};
export const generalTopic = topics.room(generalRoomId);
