import { limits } from "../../protocol/limits.ts";
import type { DeadLetterDetail } from "../eventlog/dead-letters.ts";
import { deadLetterDetailJson, deadLetterPageView } from "../eventlog/views.ts";
import { moment, printable, shortened } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { UsageError, type Verb, countOf, idOf, jsonOption, program } from "./verb.ts";

const errorShownMax = 60;
const groupOption = { type: "text", value: "GROUP", doc: "only those of one consumer group" } as const;

export const deadList: Verb = {
  name: "dead list",
  summary: "list the dead letters: entries given up after the last attempt",
  usage: "",
  example: "dead list --group inbox",
  options: {
    group: groupOption,
    limit: { type: "text", value: "N", doc: `how many, ${limits.pageRowsDefault} unless given` },
    cursor: { type: "text", value: "CURSOR", doc: "go on where the list before ended" },
    json: jsonOption,
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const limit = countOf(args.text("limit") ?? String(limits.pageRowsDefault), "limit", limits.pageRows);
    const [group, cursor] = [args.text("group"), args.text("cursor")];
    await using backstage = await openBackstage();
    const page = await backstage.deadLetters.list({
      limit,
      ...(group === undefined ? {} : { group }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (args.flag("json")) return terminal.json(deadLetterPageView(page));
    if (page.deadLetters.length === 0) return terminal.notice("There are no dead letters.");
    terminal.table(
      ["id", "group", "topic", "type", "attempts", "behind", "given up", "error"],
      page.deadLetters.map((letter) => [
        letter.id,
        letter.group,
        letter.topic,
        letter.type,
        letter.attempts,
        letter.waitingBehind,
        moment(letter.parkedAt),
        shortened(letter.error, errorShownMax),
      ]),
    );
    if (page.next !== undefined) terminal.notice(`There are more: --cursor ${page.next}`);
  },
};

export const deadShow: Verb = {
  name: "dead show",
  summary: "show one dead letter with its error and data",
  usage: "ID",
  example: "dead show 12",
  options: { json: jsonOption },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const id = idOf(args.argument("ID"), "dead list");
    await using backstage = await openBackstage();
    const letter = await backstage.deadLetters.show(id);
    if (args.flag("json")) return terminal.print(deadLetterDetailJson(letter));
    printLetter(terminal, letter);
  },
};

export const deadRetry: Verb = {
  name: "dead retry",
  summary: "try a dead letter again, or all of them",
  usage: "[ID]",
  example: "dead retry --all --group inbox",
  options: {
    all: { type: "flag", doc: "all dead letters instead of one" },
    group: groupOption,
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const text = args.optionalArgument("ID");
    const group = args.text("group");
    if (text === undefined && !args.flag("all")) {
      throw new UsageError(`"dead retry" needs an ID or --all: ${program} dead retry 12`);
    }
    if (text !== undefined && args.flag("all")) {
      throw new UsageError(`"dead retry" takes an ID or --all, and both are given`);
    }
    if (text !== undefined && group !== undefined) throw new UsageError("--group goes only with --all");
    const id = text === undefined ? undefined : idOf(text, "dead list");
    await using backstage = await openBackstage();
    const all = { all: true, ...(group === undefined ? {} : { group }) } as const;
    const retried = await backstage.deadLetters.retry(id ?? all);
    terminal.print(retried === 1 ? "1 entry is tried again." : `${retried} entries are tried again.`);
  },
};

export const deadDrop: Verb = {
  name: "dead drop",
  summary: "give up a dead letter for good; what waits behind it goes on",
  usage: "ID",
  example: "dead drop 12",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const id = idOf(args.argument("ID"), "dead list");
    await using backstage = await openBackstage();
    await backstage.deadLetters.drop(id);
    terminal.print(`Dead letter ${id} is dropped.`);
  },
};

function printLetter(terminal: Terminal, letter: DeadLetterDetail): void {
  const facts: readonly (readonly [string, string | number])[] = [
    ["id", letter.id],
    ["group", letter.group],
    ["entry", letter.entryId],
    ["topic", letter.topic],
    ["type", letter.type],
    ["accepted", moment(letter.time)],
    ["given up", moment(letter.parkedAt)],
    ["attempts", letter.attempts],
    ["behind it", letter.waitingBehind],
    ["error", letter.error],
  ];
  for (const [name, value] of facts) {
    terminal.print(`${terminal.style("bold", name.padEnd(9))}  ${printable(String(value))}`);
  }
  terminal.print(terminal.style("bold", "data"));
  // As it was appended: read and written anew, what made it fail may be gone.
  terminal.print(printable(letter.data));
}
