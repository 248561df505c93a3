import type { Message } from "../protocol/chat.ts";
import type { Client } from "./client.ts";
import type { QueuedMessage } from "./queued-message.ts";

/** The name of the socket's request that sends a message. */
const sendRequest = "message.send";

/** Sends a message, over the socket if there is one. Resolves with the message as the server has it. */
export function sendOnce(client: Client, queued: QueuedMessage, signal: AbortSignal): Promise<Message> {
  const { client_msg_id, room_id, content, reply_to } = queued;
  const body = { client_msg_id, content, ...(reply_to === null ? {} : { reply_to }) };
  const { state } = client.connection.get();
  return state === "open" || state === "draining"
    ? client.request<Message>(sendRequest, { room_id, ...body })
    : client.chat.send(room_id, body, { attempts: 1, signal });
}
