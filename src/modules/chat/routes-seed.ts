import { SeedMessage, SeedMessages, SeedMessagesQuery, SeedNewMessage } from "../../../protocol/chat.ts";
import { personOf } from "../../access/actor.ts";
import type { Route } from "../../deps.ts";
import { sendSeed } from "./plain.ts";
import { listSeedMessages, toSeedMessage } from "./queries-messages.ts";
import { replayedHeaders } from "./routes-messages.ts";
import { type RouteDeps, actorOf, forManagers, forPeople } from "./routes.ts";
import type { SendMessage } from "./send.ts";

const path = "/api/v1/messages";

/** The seed's two routes. They speak of the room that is everybody's. */
export function seedRoutes({
  db,
  send,
}: Pick<RouteDeps, "db"> & { readonly send: SendMessage }): readonly Route[] {
  return [
    {
      ...forManagers,
      method: "GET",
      path,
      summary: 'List messages of the room "general", the newest first',
      query: SeedMessagesQuery,
      responses: { 200: SeedMessages },
      handler: async (request) => ({
        status: 200,
        body: await listSeedMessages(db, actorOf(request), request.query as SeedMessagesQuery),
      }),
    },
    {
      ...forPeople,
      method: "POST",
      path,
      summary: 'Send a message to the room "general"',
      description:
        "`user_id` and `username` must be the caller's own. With a `client_msg_id` it may be sent again; without one, every " +
        "request is a new message.",
      body: SeedNewMessage,
      responses: { 200: SeedMessage, 201: SeedMessage },
      errors: ["idempotency_mismatch"],
      handler: async ({ actor, body }) => {
        const { message, replayed } = await sendSeed(send, personOf(actor), body as SeedNewMessage);
        const seen = toSeedMessage(message);
        return replayed ? { status: 200, body: seen, headers: replayedHeaders } : { status: 201, body: seen };
      },
    },
  ];
}
