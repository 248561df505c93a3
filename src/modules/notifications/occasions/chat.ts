import type { MessageCreatedData } from "../../../../protocol/chat.ts";
import { limits } from "../../../../protocol/limits.ts";
import { mentionsOf } from "../../../../protocol/mentions.ts";
import type { Occasion, OccasionRow } from "./occasions.ts";

/** Searched in JSON text, where what people write cannot look like it: its quotation marks are escaped. */
const answersSomebody = /"reply_to_user_id":\d/;

/** Who is mentioned in a room, or answered there. What an edit says is a message as well. */
export const chatOccasions: readonly OccasionRow[] = ["message.created", "message.edited"].map((type) => ({
  topics: "room/",
  type,
  mayTell: (data) => data.includes("@") || answersSomebody.test(data),
  occasionsOf: (data) => occasionsOf(data as Partial<MessageCreatedData>),
}));

function occasionsOf({ message, reply_to_user_id: answered }: Partial<MessageCreatedData>): Occasion[] {
  // Of what was redacted nothing is left to tell.
  if (message === undefined) return [];
  const mentioned = mentionsOf(message.content);
  if (mentioned.length === 0 && typeof answered !== "number") return [];
  const common = {
    origin: message.id,
    peopleMax: limits.mentionsPerMessage,
    roomId: message.room_id,
    by: message.user_id,
    message: quoteOf(message),
    source: "chat",
    link: `/rooms/${message.room_id}?message=${message.id}`,
    createdAt: message.edited_at ?? message.created_at,
  };
  return [
    ...(mentioned.length === 0 ? [] : [{ ...common, category: "mention", to: mentioned }]),
    ...(typeof answered === "number" ? [{ ...common, category: "reply", to: [answered] }] : []),
  ];
}

/** In no language of its own: who, and the beginning of what they say. */
function quoteOf({ username, content }: { readonly username: string; readonly content: string }): string {
  const points = Array.from(`${username}: ${content}`);
  if (points.length <= limits.quoteLength) return points.join("");
  return `${points.slice(0, limits.quoteLength - 1).join("")}…`;
}
