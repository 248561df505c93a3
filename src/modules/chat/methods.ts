import {
  Message,
  ReadParams,
  ReadState,
  SendParams,
  TypingAnswer,
  TypingParams,
} from "../../../protocol/chat.ts";
import { personOf } from "../../access/actor.ts";
import type { SocketMethod } from "../../deps.ts";
import type { CommandDeps } from "./create-room.ts";
import { markRead } from "./mark-read.ts";
import type { SendMessage } from "./send.ts";
import type { SetTyping } from "./set-typing.ts";

export type Commands = { readonly send: SendMessage; readonly setTyping: SetTyping };

/** What clients do over the socket rather than over HTTP. */
export function chatMethods(deps: CommandDeps, { send, setTyping }: Commands): readonly SocketMethod[] {
  return [
    {
      name: "message.send",
      summary: "Send a message; the answer comes when it is durable, and a repetition gets the same one",
      params: SendParams,
      answer: Message,
      errors: ["forbidden", "not_found", "idempotency_mismatch", "overloaded", "unavailable"],
      handler: async ({ actor, params }) => (await send(personOf(actor), params as SendParams)).message,
    },
    {
      name: "read.mark",
      summary: "Mark everything up to a message as read",
      params: ReadParams,
      answer: ReadState,
      errors: ["forbidden", "not_found"],
      handler: ({ actor, params }) => {
        const { room_id: roomId, seq } = params as ReadParams;
        return markRead(deps, personOf(actor), { roomId, seq });
      },
    },
    {
      name: "typing.set",
      summary: "Tell a room that you type, or have stopped; at most one a second of each room passes",
      params: TypingParams,
      answer: TypingAnswer,
      errors: ["forbidden", "not_found"],
      handler: async ({ actor, params }) => {
        await setTyping(personOf(actor), params as TypingParams);
        return {};
      },
    },
  ];
}
