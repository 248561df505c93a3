import { hash } from "node:crypto";
import { lineOf } from "../wishes/digest-text.ts";

/** What is kept of a line that a digest may show, to find it there again: SHA-256, hexadecimal digits. */
export function lineMark(message: string): string {
  return hash("sha256", lineOf(message), "hex");
}

/** What a digest says, and for how many it stands. */
export type DigestWords = { readonly message: string; readonly gathered: number };

/**
 * A digest without the lines that were erased: undefined when nothing of it is left. What it does not show is not taken
 * out of it: then it is the same object. `staying` counts, by mark, what else was gathered in the same words: so many such
 * lines are somebody else's, and stay.
 */
export function withoutLines(
  digest: DigestWords,
  erased: ReadonlySet<string>,
  staying: ReadonlyMap<string, number>,
): DigestWords | undefined {
  // One alone says what it said, in as many lines as that had.
  const lines = digest.gathered === 1 ? [digest.message] : digest.message.split("\n");
  const kept = new Map<string, number>();
  const left = lines.filter((line) => {
    const mark = lineMark(line);
    if (!erased.has(mark)) return true;
    const before = kept.get(mark) ?? 0;
    kept.set(mark, before + 1);
    return before < (staying.get(mark) ?? 0);
  });
  if (left.length === lines.length) return digest;
  const gathered = digest.gathered - (lines.length - left.length);
  return left.length === 0 ? undefined : { message: left.join("\n"), gathered };
}
