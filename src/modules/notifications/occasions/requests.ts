import { limits } from "../../../../protocol/limits.ts";
import { type Wanted, readersAmong, wantedKey } from "../../../access/room-readers.ts";
import type { Config } from "../../../config.ts";
import type { Queryable } from "../../../lib/db.ts";
import type { NotifyRequest } from "../decide-notify.ts";
import { findTold, originKey } from "./origins.ts";
import type { Occasion } from "./occasions.ts";

/** An occasion, and who caused its entry, as entries name them. */
export type Caused = Occasion & { readonly actor: string };

/** What the database says about a batch of occasions. */
export type OccasionFacts = {
  /** Ids of those who are somebody and may know of it, by `wantedKey`. */
  readonly readers: ReadonlyMap<string, number>;
  /** By `originKey`: who was told of what, or would have been had they wished to. */
  readonly told: ReadonlySet<string>;
};

/** Asks for what occasions want to be told, with two statements however many they are. */
export async function requestsFor(
  db: Queryable,
  occasions: readonly Caused[],
  ttls: Config["notificationTtls"],
): Promise<readonly NotifyRequest[]> {
  if (occasions.length === 0) return [];
  const readers = await readersAmong(db, occasions.flatMap(wantedOf));
  if (readers.size === 0) return [];
  const told = await findTold(
    db,
    occasions.map(({ origin }) => origin),
  );
  return decideOccasions(occasions, { readers, told }, ttls);
}

/**
 * One request for each occasion that somebody is still to be told of. Its id is that of its origin, and nobody is in two
 * requests of one origin: so a notification's id says what it quotes, and to whom.
 */
export function decideOccasions(
  occasions: readonly Caused[],
  { readers, told }: OccasionFacts,
  { bySource }: Pick<Config["notificationTtls"], "bySource">,
): readonly NotifyRequest[] {
  const taken = new Set(told);
  return occasions.flatMap((occasion): NotifyRequest[] => {
    const { origin, by, message, source, category, link, createdAt, actor } = occasion;
    const meant = new Set<number>();
    const targets: { id: number }[] = [];
    for (const names of occasion.to) {
      const id = [names]
        .flat()
        .map((who) => readers.get(wantedKey({ who, roomId: occasion.roomId })))
        .find((found) => found !== undefined);
      if (id === undefined || id === by) continue;
      // Whoever was told already counts, so that an edit tells nobody who would not have been told at first.
      if (meant.add(id).size > occasion.peopleMax) break;
      if (taken.has(originKey(origin, id))) continue;
      taken.add(originKey(origin, id));
      targets.push({ id });
    }
    if (targets.length === 0) return [];
    const ttlS = bySource.get(source) ?? limits.occasionTtlDefaultS;
    const waitingMax = limits.occasionsWaiting;
    const said = { message, source, category, critical: false, link, createdAt, ttlS, actor, waitingMax };
    return [{ id: origin, targets, ...said, idempotency: undefined }];
  });
}

function wantedOf({ to, roomId }: Occasion): readonly Wanted[] {
  return to.flat().map((who) => ({ who, roomId }));
}
