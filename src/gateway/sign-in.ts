import type { IncomingMessage } from "node:http";
import type { Access } from "../access/access.ts";
import type { Actor } from "../access/actor.ts";
import { isDevelopmentKey, requireDevelopmentPlace } from "../access/development.ts";
import { AppError } from "../lib/errors.ts";

/** The one credential that a handshake shows, if it shows one: browsers can only put it into the URL. */
export function credentialOf({
  headers,
  url = "",
}: Pick<IncomingMessage, "headers" | "url">): string | undefined {
  const { searchParams } = new URL(url, "http://localhost");
  const found = [
    ...searchParams.getAll("token"),
    ...bearersOf(headers.authorization),
    ...textsOf(headers["x-api-key"]),
  ].filter((text) => text !== "");
  const [first] = found;
  if (found.some((other) => other !== first)) {
    throw new AppError("unauthorized", { detail: "more than one credential was sent" });
  }
  return first;
}

/** The actor behind a credential; refuses the development key where it is not good. */
export async function signIn(
  access: Pick<Access, "authenticate">,
  credential: string,
  place: Parameters<typeof requireDevelopmentPlace>[0],
): Promise<Actor> {
  const actor = await access.authenticate(credential, place.address);
  if (isDevelopmentKey(actor)) requireDevelopmentPlace(place);
  return actor;
}

function bearersOf(header: string | undefined): readonly string[] {
  const match = /^bearer\s+(.*)$/i.exec(header ?? "");
  return match?.[1] === undefined ? [] : [match[1].trim()];
}

function textsOf(header: string | string[] | undefined): readonly string[] {
  return typeof header === "string" ? [header] : (header ?? []);
}
