import {
  EditMessage,
  Message,
  MessageParams,
  MessageWithRevisions,
  MessagesPage,
  MessagesQuery,
  NewMessage,
  RoomParams,
} from "../../../protocol/chat.ts";
import { byWhom, personOf } from "../../access/actor.ts";
import type { Route, RouteRequest } from "../../deps.ts";
import { deleteMessage } from "./delete-message.ts";
import { editMessage } from "./edit-message.ts";
import type { Erasing } from "./erase.ts";
import { listMessages, showMessage } from "./queries-messages.ts";
import { type RouteDeps, actorOf, forManagers, forPeople, roomIdOf } from "./routes.ts";
import type { SendMessage } from "./send.ts";

export type MessageRouteDeps = Omit<RouteDeps, "adding"> & {
  readonly send: SendMessage;
  readonly erasing: Erasing;
};

const path = "/api/v1/rooms/:room_id/messages";
const onePath = `${path}/:message_id`;

export function messageRoutes(deps: MessageRouteDeps): readonly Route[] {
  return [listRoute(deps), sendRoute(deps), ...oneMessageRoutes(deps)];
}

/** Says that an answer is that of an earlier request. */
export const replayedHeaders = { "Idempotent-Replayed": "true" } as const;

function whichOf({ params }: Pick<RouteRequest, "params">) {
  const { room_id: roomId, message_id: messageId } = params as MessageParams;
  return { roomId, messageId };
}

function listRoute({ db }: MessageRouteDeps): Route {
  return {
    ...forManagers,
    method: "GET",
    path,
    summary: "List messages of a room in their order",
    description:
      "The newest ones, or those `before` or `after` a seq, `around` one, or around the first unread one (`anchor=first_unread`). " +
      "`before` and `after` of the answer are what to ask for next.",
    params: RoomParams,
    query: MessagesQuery,
    responses: { 200: MessagesPage },
    errors: ["not_found"],
    handler: async (request) => ({
      status: 200,
      body: await listMessages(db, actorOf(request), {
        roomId: roomIdOf(request),
        ...(request.query as MessagesQuery),
      }),
    }),
  };
}

function sendRoute({ send }: MessageRouteDeps): Route {
  return {
    ...forPeople,
    method: "POST",
    path,
    summary: "Send a message",
    description:
      "Answers when the message is durable. Sent again under the same `client_msg_id`, however often and however late, it " +
      "is the same message, answered with 200 and `Idempotent-Replayed: true`.",
    params: RoomParams,
    body: NewMessage,
    responses: { 200: Message, 201: Message },
    errors: ["not_found", "idempotency_mismatch"],
    handler: async (request) => {
      const wish = { room_id: roomIdOf(request), ...(request.body as NewMessage) };
      const { message, replayed } = await send(personOf(request.actor), wish);
      return replayed
        ? { status: 200, body: message, headers: replayedHeaders }
        : { status: 201, body: message };
    },
  };
}

function oneMessageRoutes(deps: MessageRouteDeps): readonly Route[] {
  return [
    {
      ...forManagers,
      method: "GET",
      path: onePath,
      summary: "Show a message, and to who may delete it what it said before its edits",
      params: MessageParams,
      responses: { 200: MessageWithRevisions },
      errors: ["not_found"],
      handler: async (request) => ({
        status: 200,
        body: await showMessage(deps.db, actorOf(request), whichOf(request)),
      }),
    },
    {
      ...forPeople,
      method: "PATCH",
      path: onePath,
      summary: "Edit a message of your own",
      params: MessageParams,
      body: EditMessage,
      responses: { 200: Message },
      errors: ["not_found", "conflict"],
      handler: async (request) => {
        const { content, version } = request.body as EditMessage;
        const edit = { ...whichOf(request), content, version };
        return { status: 200, body: await editMessage(deps, personOf(request.actor), edit) };
      },
    },
    {
      ...forManagers,
      method: "DELETE",
      path: onePath,
      summary: "Delete a message: the sender's, or a moderator's to do",
      description: "It keeps its place and loses its words, in the log too.",
      params: MessageParams,
      responses: { 200: Message },
      errors: ["not_found"],
      handler: async (request) => {
        const which = whichOf(request);
        const message = await deleteMessage(deps, actorOf(request), which);
        deps.log.info(
          { ...byWhom(request), room_id: which.roomId, message: which.messageId },
          "message deleted",
        );
        return { status: 200, body: message };
      },
    },
  ];
}
