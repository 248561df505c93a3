/** Everything that is told says in its first word what becomes of it. */
export const kinds = ["lasting", "brief", "bulletin", "shared"] as const;
/**
 * `brief` ends within seconds. `bulletin` is of a category of which some want a digest. `shared` is for everybody; the
 * others last longer than the run, and are for those who are named.
 */
export type Kind = (typeof kinds)[number];

export function kindOf(text: string): Kind | undefined {
  const [first] = text.split(" ", 1);
  return kinds.find((kind) => kind === first);
}

/** A category of its own, so that a digest is of nothing else. */
export const bulletinCategory = "bulletin";
const generalCategory = "general";

export function categoryOf(kind: Kind): string {
  return kind === "bulletin" ? bulletinCategory : generalCategory;
}

/** What a text was made of that may be a digest: one line each, and perhaps how many are not shown. */
export function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => !line.startsWith("+"));
}
