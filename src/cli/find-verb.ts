import { suggestion } from "./nearest.ts";
import { UsageError, type Verb, program } from "./verb.ts";

/** A verb with what follows it, or the noun of several verbs when help is asked for. */
export type FoundVerb =
  | { readonly kind: "verb"; readonly verb: Verb; readonly rest: readonly string[] }
  | { readonly kind: "noun"; readonly noun: string };

/** Finds the verb that a command line begins with. Throws `UsageError` with the nearest name when there is none. */
export function findVerb(verbs: readonly Verb[], argv: readonly string[]): FoundVerb {
  const [first = "", second = ""] = argv;
  for (const length of [2, 1]) {
    const verb = verbs.find(({ name }) => name === argv.slice(0, length).join(" "));
    if (verb !== undefined) return { kind: "verb", verb, rest: argv.slice(length) };
  }
  if (first.startsWith("-")) {
    throw new UsageError(`The verb comes first, as in "${program} serve ${argv.join(" ")}"`);
  }
  const ofNoun = verbsOf(verbs, first);
  if (ofNoun.length === 0) {
    const names = new Set(verbs.flatMap(({ name }) => [name, name.split(" ")[0] ?? name]));
    const typed = second.startsWith("-") ? first : `${first} ${second}`.trim();
    const like = suggestion(typed, names) || suggestion(first, names);
    throw new UsageError(`There is no verb "${first}".${like}`);
  }
  if (second === "" || second.startsWith("-")) {
    if (argv.includes("--help") || argv.includes("-h")) return { kind: "noun", noun: first };
    const words = ofNoun.map(({ name }) => name.slice(first.length + 1)).join(", ");
    throw new UsageError(`"${first}" needs one of: ${words}`);
  }
  const like = suggestion(
    `${first} ${second}`,
    ofNoun.map(({ name }) => name),
  );
  throw new UsageError(`There is no verb "${first} ${second}".${like}`);
}

/** The verbs whose first word is `noun`. */
export function verbsOf(verbs: readonly Verb[], noun: string): readonly Verb[] {
  return verbs.filter(({ name }) => name.startsWith(`${noun} `));
}
