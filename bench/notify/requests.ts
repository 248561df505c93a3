import type { NotifyLoad } from "./notify-load.ts";

/** Longer than any run: nothing ends while it is counted. */
const ttlS = 86_400;

/** A request to notify, as bytes ready to be written. */
export function notifyRequest(
  { apiKey }: Pick<NotifyLoad, "apiKey">,
  target: NotifyLoad["targets"],
  message: string,
): Buffer {
  const body = JSON.stringify({ target, message, source: "bench", ttl_s: ttlS });
  return Buffer.from(
    `POST /api/v1/notify HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${apiKey}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
