import { nearest } from "./nearest.ts";
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
  if (ofNoun.length === 0) throw new UsageError(`There is no verb "${first}".${verbLike(verbs, argv)}`);
  if (second === "" || second.startsWith("-")) {
    if (argv.includes("--help") || argv.includes("-h")) return { kind: "noun", noun: first };
    throw new UsageError(`"${first}" needs one of: ${secondWords(ofNoun).join(", ")}`);
  }
  const meant = nearest(second, secondWords(ofNoun));
  const like =
    meant === undefined
      ? ` After "${first}" comes one of: ${secondWords(ofNoun).join(", ")}.`
      : ` Did you mean "${first} ${meant}"?`;
  throw new UsageError(`There is no verb "${first} ${second}".${like}`);
}

/** What people who know other programs type. */
const otherNames: Readonly<Record<string, string>> = {
  start: "serve",
  run: "serve",
  up: "serve",
  server: "serve",
  init: "migrate",
  status: "consumer list",
};

/** What may have been meant by a first word that begins no verb; what there is, when nothing is like it. */
export function verbLike(verbs: readonly Verb[], [first = "", second = ""]: readonly string[]): string {
  const other = Object.hasOwn(otherNames, first) ? otherNames[first] : undefined;
  if (other !== undefined) return ` Did you mean "${other}"?`;
  const sameWord = verbs.filter(({ name }) => name.split(" ")[1] === first).map(({ name }) => `"${name}"`);
  if (sameWord.length > 0) return ` Did you mean ${sameWord.join(" or ")}?`;
  const firstWords = [...new Set(verbs.map(({ name }) => name.split(" ")[0] ?? name))];
  const noun = nearest(first, firstWords);
  if (noun === undefined) return ` There are: ${firstWords.join(", ")}.`;
  const meant = nearest(second, secondWords(verbsOf(verbs, noun)));
  return ` Did you mean "${meant === undefined ? noun : `${noun} ${meant}`}"?`;
}

function secondWords(verbs: readonly Verb[]): readonly string[] {
  return verbs.flatMap(({ name }) => name.split(" ")[1] ?? []);
}

/** The verbs whose first word is `noun`. */
export function verbsOf(verbs: readonly Verb[], noun: string): readonly Verb[] {
  return verbs.filter(({ name }) => name.startsWith(`${noun} `));
}
