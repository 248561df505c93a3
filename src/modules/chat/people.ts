import { activeUsernamesOf } from "../../access/people.ts";
import type { Queryable } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";

/**
 * The names of the people that a request speaks of, in its order and none of them twice. Throws `not_found` that names
 * the first place in the field at which there is an id that nobody has, or somebody who cannot sign in any more.
 */
export async function peopleOf(
  db: Queryable,
  ids: readonly number[],
  field: string,
): Promise<ReadonlyMap<number, string>> {
  const names = await activeUsernamesOf(db, ids);
  return new Map(
    ids.map((id, i) => {
      const name = names.get(id);
      if (name !== undefined) return [id, name];
      throw new AppError("not_found", {
        detail: `there is no person ${id}`,
        fields: [
          { pointer: ids.length === 1 ? field : `${field}/${i}`, code: "unknown", detail: "is nobody's id" },
        ],
      });
    }),
  );
}
