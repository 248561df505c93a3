/** Rows of cells as aligned lines; the first row is the heading. Numbers are set to the right. */
export function tableLines(
  heading: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): readonly string[] {
  const cells = [heading, ...rows].map((row) => row.map((cell) => printable(String(cell))));
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ""))));
  return cells.map((row, index) =>
    row
      .map((cell, column) => {
        const padding = " ".repeat((widths[column] ?? 0) - widthOf(cell));
        const isNumber = typeof rows[Math.max(index - 1, 0)]?.[column] === "number";
        return isNumber ? padding + cell : cell + padding;
      })
      .join("  ")
      .trimEnd(),
  );
}

function widthOf(text: string): number {
  return Array.from(text).length;
}

/**
 * The text with control characters written out. Names, errors and payloads come from strangers, and a terminal
 * would obey the escape sequences in them. Line ends and tabs become spaces.
 */
export function printable(text: string): string {
  return text
    .replaceAll(/[\n\r\t]+/g, " ")
    .replaceAll(
      /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
      (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
    );
}

/** `2026-03-01 12:00 UTC`, or a dash. */
export function moment(date: Date | undefined): string {
  return date === undefined ? "-" : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** The text, cut to `length` characters with an ellipsis. */
export function shortened(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}
