import { limits } from "./limits.ts";

/** Mentions: who is meant by an `@` in the text of a message. Without schemas, so that a client loads nothing else for it. */

/** An `@` that begins a word, and what may belong to the username behind it. What stands before it in addresses and links does not. */
const written = /(?<![\p{L}\p{M}\p{N}_@/])@([A-Za-z0-9][A-Za-z0-9._-]*)/gu;
/** What a username does not end before: the word goes on, or it is an address. */
const goesOn = /^[\p{L}\p{M}\p{N}@]/u;
/** A username's length, as `accounts.ts` has it. */
const nameLengthMin = 2;
const nameLengthMax = 32;

/**
 * The usernames that a text mentions, in lower case, each once: the first `limits.mentionNames`, further ones are left out.
 * Many may be nobody's; of those that are somebody's who may know of it, `limits.mentionsPerMessage` are told. Dots and dashes at the end belong to the sentence rather than to the name, so that such a mention has two
 * usernames: the first is meant if there is such a person, else the second.
 */
export function mentionsOf(text: string): readonly (readonly string[])[] {
  const found = new Map<string, readonly string[]>();
  for (const match of text.matchAll(written)) {
    const end = match.index + match[0].length;
    // Two units: a whole code point, whichever it is.
    const names = namesFrom(match[1] ?? "", !goesOn.test(text.slice(end, end + 2)));
    const [first] = names;
    if (first === undefined || found.has(first)) continue;
    found.set(first, names);
    if (found.size === limits.mentionNames) break;
  }
  return [...found.values()];
}

/** `whole`: nothing follows that would belong to the same word. */
function namesFrom(word: string, whole: boolean): readonly string[] {
  const name = word.toLowerCase();
  // No regular expression: from each of many dots it would look for the end anew.
  let end = name.length;
  while (name[end - 1] === "." || name[end - 1] === "-") end--;
  const names = [...(end < name.length ? [name.slice(0, end)] : []), ...(whole ? [name] : [])];
  return names.filter(({ length }) => length >= nameLengthMin && length <= nameLengthMax);
}
