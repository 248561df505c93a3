import type { Access } from "../access/access.ts";
import type { Actor } from "../access/actor.ts";
import { isDevelopmentKey, requireDevelopmentPlace } from "../access/development.ts";

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
