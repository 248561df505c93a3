/** The word most like `text`, if one is like it enough to be what was meant. */
export function nearest(text: string, words: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(text.length / 2)) + 1;
  for (const word of words) {
    const distance = editDistance(text, word);
    if (distance < bestDistance) [best, bestDistance] = [word, distance];
  }
  return best;
}

/** ` Did you mean "serve"?`, or nothing. */
export function suggestion(text: string, words: Iterable<string>): string {
  const word = nearest(text, words);
  return word === undefined ? "" : ` Did you mean "${word}"?`;
}

/** Levenshtein's distance: single letters inserted, removed or exchanged. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = at(row, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(at(row, j) + 1, at(next, j - 1) + 1, exchanged));
    }
    row = next;
  }
  return at(row, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
