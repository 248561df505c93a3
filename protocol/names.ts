/** How people and rooms are called: in any script, and so that nobody is deceived by what they see. */

/**
 * What no name may have, as the inside of a character class: control characters, ends of lines and paragraphs, and what
 * turns the direction of the text around it.
 */
export const unfitInNames = "\\p{Cc}\\p{Zl}\\p{Zp}\\u202a-\\u202e\\u2066-\\u2069";

/** None of these, and at least one character that can be seen. Joiners stay allowed: emoji are made with them. */
export const namePattern = `^(?=.*[^\\p{Z}\\p{Cc}\\p{Cf}])[^${unfitInNames}]*$`;

export function nameRule(lengthMax: number): string {
  return `1 to ${lengthMax} characters without line ends and control characters, at least one of them visible, white space around them not counted`;
}
