import { argumentsOf } from "./args.ts";
import { verbLike, verbsOf } from "./find-verb.ts";
import { type Setting, loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { UsageError, type Verb, program } from "./verb.ts";

/** The verb `help` over a table that also holds itself. */
export function helpVerb(verbs: () => readonly Verb[]): Verb {
  return {
    name: "help",
    summary: "show all verbs, or one of them with its options",
    usage: "[VERB] [WORD]",
    example: "help key create",
    options: {},
    settings: false,
    run: async ({ terminal }, args) => {
      const noun = args.optionalArgument("VERB");
      if (noun === undefined) return showAll(terminal, verbs());
      const wanted = [noun, args.optionalArgument("WORD") ?? ""].join(" ").trim();
      const verb = verbs().find(({ name }) => name === wanted);
      if (verb !== undefined) return showVerb(terminal, verb);
      if (verbsOf(verbs(), wanted).length > 0) return showNoun(terminal, verbs(), wanted);
      throw new UsageError(`There is no verb "${wanted}".${verbLike(verbs(), wanted.split(" "))}`);
    },
  };
}

export function showAll(terminal: Terminal, verbs: readonly Verb[]): void {
  terminal.print(terminal.style("bold", "Tidings, a self-hosted messaging server"));
  terminal.print("");
  terminal.print(`Usage: ${program} VERB [arguments] [--options]`);
  terminal.print("");
  for (const verb of verbs) showSummary(terminal, verb);
  terminal.print("");
  terminal.print(`More about one of them: ${program} help VERB`);
}

/** The verbs that share their first word. */
export function showNoun(terminal: Terminal, verbs: readonly Verb[], noun: string): void {
  for (const verb of verbsOf(verbs, noun)) showSummary(terminal, verb);
  terminal.print(`More about one of them: ${program} help ${noun} WORD`);
}

function showSummary(terminal: Terminal, verb: Verb): void {
  terminal.print(`  ${terminal.style("bold", `${verb.name} ${verb.usage}`.trim())}  ${verb.summary}`);
  terminal.print(terminal.style("dim", `      ${program} ${verb.example}`));
}

/** One verb in full. `serve` is where all settings are explained; the others point there. */
export async function showVerb(terminal: Terminal, verb: Verb): Promise<void> {
  const needed = Object.entries(verb.options).filter(([, { required }]) => required);
  const usage = [
    verb.name,
    verb.usage,
    ...needed.map(([name, { value }]) => `--${name} ${value}`),
    "[--options]",
  ];
  terminal.print(`${verb.name}: ${verb.summary}`);
  terminal.print("");
  terminal.print(`Usage:   ${program} ${usage.filter((word) => word !== "").join(" ")}`);
  terminal.print(`Example: ${program} ${verb.example}`);
  const optional = argumentsOf(verb.usage).filter(({ required }) => !required);
  if (optional.length > 0) terminal.print(`May be left out: ${optional.map(({ name }) => name).join(", ")}`);
  if (Object.keys(verb.options).length > 0) {
    terminal.print("");
    terminal.print(terminal.style("bold", "Options"));
    for (const [name, { type, value, doc }] of Object.entries(verb.options)) {
      terminal.print(`  --${name}${type === "flag" ? "" : ` ${value ?? "VALUE"}`}`);
      terminal.print(`      ${doc}`);
    }
  }
  if (!verb.settings) return;
  if (verb.name === "serve") {
    return showSettings(terminal, await loadSettings());
  }
  terminal.print("");
  terminal.print(`Settings such as --data-dir or --database-url may be given too: ${program} help serve`);
}

function showSettings(terminal: Terminal, settings: readonly Setting[]): void {
  terminal.print("");
  terminal.print(
    "Each setting is read from its flag, else from the environment, else from the file .env here.",
  );
  terminal.print("Secrets are better kept off the command line, which other users of the machine can read.");
  let group = "";
  for (const setting of settings) {
    if (setting.group !== group) {
      group = setting.group;
      terminal.print("");
      terminal.print(terminal.style("bold", group));
    }
    const standard = setting.shownDefault === "" ? "not set" : setting.shownDefault;
    terminal.print(`  --${setting.flag}, ${setting.env}  ${terminal.style("dim", `(${standard})`)}`);
    terminal.print(`      ${setting.doc}`);
  }
}
