import type { Notification } from "../../../../protocol/notifications.ts";
import type { PushedNotification } from "../../../../protocol/push.ts";

/**
 * What a push may carry before it is encrypted, bytes: RFC 8291 has push services take 4,096 of it afterwards, of which
 * the header has 86, the padding's delimiter 1 and the tag 16.
 */
export const payloadBytesMax = 3_993;
/** What is left for the beginning of a message at least: a link that leaves less is not sent, bytes. */
const messageBytesMin = 256;
const ellipsis = "…";

type Pushed = Pick<
  Notification,
  "notification_id" | "stream_id" | "message" | "source" | "category" | "link" | "created_at"
>;

/** The JSON text that a service worker gets. What does not fit is cut, between two characters (code points). */
export function pushPayload(notification: Pushed, unread: number): string {
  const { notification_id, stream_id, message, source, category, link, created_at } = notification;
  const rest = { notification_id, stream_id, source, category, created_at, unread };
  const whole: PushedNotification = { ...rest, message, link };
  const text = JSON.stringify(whole);
  if (Buffer.byteLength(text) <= payloadBytesMax) return text;
  const bare: PushedNotification = { ...rest, message: "", link };
  const roomBytes = payloadBytesMax - Buffer.byteLength(JSON.stringify(bare));
  if (link !== null && roomBytes < messageBytesMin)
    return pushPayload({ ...notification, link: null }, unread);
  const shortened: PushedNotification = { ...bare, message: beginningOf(message, roomBytes) };
  return JSON.stringify(shortened);
}

/** As much of the beginning as JSON writes in so many bytes, with the sign that there is more. */
function beginningOf(message: string, roomBytes: number): string {
  let bytes = Buffer.byteLength(ellipsis);
  let end = 0;
  for (const character of message) {
    bytes += Buffer.byteLength(JSON.stringify(character)) - 2;
    if (bytes > roomBytes) break;
    end += character.length;
  }
  return message.slice(0, end) + ellipsis;
}
