/** What may be a name in an object: also a text may hold a quote and a colon. */
const nameLike = /"\s*:/g;
/** A string of JSON, and the colon that makes it a name. */
const stringOrName = /"((?:[^"\\]|\\.)*)"(\s*:)?/g;

/**
 * The name that valid JSON gives twice, or undefined. `names` is how many the parsed object has; nothing in it is
 * nested. The parser keeps the last value of a name in silence, so what lies in the one before was never validated.
 */
export function repeatedName(text: string, names: number): string | undefined {
  if (text.match(nameLike)?.length === names) return undefined;
  const seen = new Set<string>();
  for (const [, escaped = "", colon] of text.matchAll(stringOrName)) {
    if (colon === undefined) continue;
    const name = JSON.parse(`"${escaped}"`) as string;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}
