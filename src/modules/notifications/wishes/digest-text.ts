import type { Told } from "../person-state.ts";

/** Notifications that a digest shows, the newest ones; of the others it says how many there are. */
export const digestLinesMax = 20;
/** Code points of each that are shown: all lines together are no longer than a message may be. */
export const digestLineLength = 200;

/** A digest that is to be told: `last` are the newest of those `gathered`, the oldest of them first. */
export type ClosedDigest = {
  readonly id: string;
  readonly category: string;
  readonly gathered: number;
  readonly last: readonly Omit<Told, "gathered">[];
};

/**
 * What a digest says, in no language of its own: the words that were gathered, one line for each, and `+5` above them for
 * those that are not shown. One alone says what it said. Undefined when nothing is left in it.
 */
export function digestText({ id, category, gathered, last }: ClosedDigest): Told | undefined {
  const newest = last.at(-1);
  if (newest === undefined) return undefined;
  const common = { notification_id: id, category, critical: false, gathered, createdAt: newest.createdAt };
  if (gathered === 1) {
    const { actor, message, source, link, ttlS } = newest;
    return { ...common, actor, message, source, link, ttlS };
  }
  const shown = last.slice(-digestLinesMax);
  const lines = shown.map(({ message }) => lineOf(message));
  const hidden = gathered - shown.length;
  const sources = new Set(shown.map(({ source }) => source));
  const links = new Set(shown.map(({ link }) => link));
  return {
    ...common,
    actor: "system",
    message: [...(hidden > 0 ? [`+${hidden}`] : []), ...lines].join("\n"),
    source: sources.size === 1 ? newest.source : "digest",
    link: links.size === 1 ? newest.link : null,
    ttlS: Math.max(...shown.map(({ ttlS }) => ttlS)),
  };
}

/** A notification as a digest shows it. Of a line it is that line. */
export function lineOf(message: string): string {
  const points = Array.from(message.replaceAll(/\s+/g, " "));
  if (points.length <= digestLineLength) return points.join("");
  return `${points.slice(0, digestLineLength - 1).join("")}…`;
}
