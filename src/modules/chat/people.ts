import { activeAmong } from "../../access/people.ts";
import type { Queryable } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";

/** Where in a request each of some people is named first. */
export type Places = ReadonlyMap<number, string>;

/**
 * The people that a request speaks of, each once, in its order; `placeOf` names the place of each id. Throws `not_found`
 * that names the first place at which there is an id that nobody has, or somebody who cannot sign in any more.
 */
export async function peopleOf(
  db: Queryable,
  ids: readonly number[],
  placeOf: (index: number) => string,
): Promise<Places> {
  const active = await activeAmong(db, ids);
  const places = new Map<number, string>();
  for (const [i, id] of ids.entries()) {
    if (!active.has(id)) {
      throw new AppError("not_found", {
        detail: `there is no person ${id}`,
        fields: [{ pointer: placeOf(i), code: "unknown", detail: "is nobody's id" }],
      });
    }
    if (!places.has(id)) places.set(id, placeOf(i));
  }
  return places;
}
