import { type MessageEntryData, SeedMessage, SeedNewMessage, generalRoomId } from "../../../protocol/chat.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import { type UserActor, personOf } from "../../access/actor.ts";
import type { PlainForm } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { createCheck } from "../../schema/check.ts";
import type { Sent } from "./decide-sends.ts";
import { toSeedMessage } from "./queries-messages.ts";
import type { SendMessage } from "./send.ts";

const generalTopic = topics.room(generalRoomId);

/** Sends a message as the seed has it, to the room that is everybody's. Who names somebody else as its sender is refused. */
export async function sendSeed(
  send: SendMessage,
  actor: UserActor,
  { user_id, username, content, client_msg_id }: SeedNewMessage,
): Promise<Sent> {
  if ((user_id ?? actor.id) !== actor.id || (username ?? actor.username) !== actor.username) {
    throw new AppError("forbidden", {
      detail: "the token says who is speaking, and it is not whom the message names",
    });
  }
  return send(actor, {
    room_id: generalRoomId,
    client_msg_id: client_msg_id ?? uuidv7(),
    content,
  });
}

/** The seed's WebSocket: messages of the room that is everybody's, as bare objects, in both directions. */
export function createPlain(send: SendMessage): PlainForm {
  const check = createCheck(SeedNewMessage);
  return {
    name: "messages",
    frames: { sent: SeedNewMessage, heard: SeedMessage },
    topics: () => Promise.resolve([generalTopic]),
    render: (topic, type, data) => {
      if (topic !== generalTopic || type !== "message.created") return [];
      // Of a message that was deleted meanwhile, nothing is left to show.
      const { message } = data as Partial<MessageEntryData>;
      return message === undefined ? [] : [JSON.stringify(toSeedMessage(message))];
    },
    accepts: (frame) => Object.hasOwn(frame, "content") && !Object.hasOwn(frame, "type"),
    // Nothing is sent back: the sender hears the message as everybody does.
    handle: async ({ actor, params }) => {
      const fields = check(params);
      if (fields !== undefined) throw new AppError("invalid_body", { fields });
      await sendSeed(send, personOf(actor), params as SeedNewMessage);
    },
  };
}
