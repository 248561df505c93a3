import type { IncomingMessage } from "node:http";
import { uuidv7 } from "../../protocol/ids.ts";

const safeId = /^[A-Za-z0-9._-]{1,64}$/;

/** The id under which a request is logged and answered: the client's own when it is harmless, otherwise a new one. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && safeId.test(given) ? given : uuidv7();
}
