import { readFile } from "node:fs/promises";
import { AppError, errorMessage } from "../lib/errors.ts";
import { sourceSchemes } from "../../protocol/inbox.ts";
import { moment } from "./table.ts";
import { UsageError, type Verb, jsonOption, program, wordOf } from "./verb.ts";

export const sourceCreate: Verb = {
  name: "source create",
  summary: "create a webhook source and print its secret once",
  usage: "NAME",
  example: "source create shop --scheme standard",
  options: {
    scheme: {
      type: "text",
      value: "SCHEME",
      doc: `how its webhooks prove who sent them: ${sourceSchemes.join(", ")}; api_key unless given`,
    },
    "secret-file": {
      type: "text",
      value: "FILE",
      doc: "take the secret from a file, - for standard input; without it one is made",
    },
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const scheme = wordOf(args.text("scheme") ?? "api_key", "--scheme", sourceSchemes);
    const file = args.text("secret-file");
    const given = file === undefined ? undefined : await readSecret(file);
    await using backstage = await openBackstage();
    const { source, secret } = await backstage.sources.create({
      name: args.argument("NAME"),
      scheme,
      ...(given === undefined ? {} : { secret: given }),
    });
    if (secret === undefined) {
      terminal.print(`Source ${source.id} "${source.name}" is created.`);
      const next = `key create ${source.name} --scopes webhook:write --source ${source.name}`;
      if (scheme === "api_key") terminal.notice(`It sends with an API key: ${program} ${next}`);
      return;
    }
    terminal.notice(`Source ${source.id} "${source.name}"; its secret, shown this once:`);
    terminal.print(secret);
  },
};

export const sourceList: Verb = {
  name: "source list",
  summary: "list the webhook sources",
  usage: "",
  example: "source list",
  options: { json: jsonOption },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const sources = await backstage.sources.list();
    if (args.flag("json")) return terminal.json(sources);
    terminal.table(
      ["id", "name", "scheme", "created"],
      sources.map(({ id, name, scheme, createdAt }) => [id, name, scheme, moment(createdAt)]),
    );
  },
};

export const sourceRotate: Verb = {
  name: "source rotate",
  summary: "give a source a new secret and print it once",
  usage: "NAME",
  example: "source rotate shop",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const name = args.argument("NAME");
    await using backstage = await openBackstage();
    const { secret } = await backstage.sources.rotate(name);
    terminal.notice(`The new secret of "${name}", shown this once:`);
    terminal.print(secret);
  },
};

export const sourceRemove: Verb = {
  name: "source remove",
  summary: "remove a source: its webhooks are refused from then on",
  usage: "NAME",
  example: "source remove shop",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const name = args.argument("NAME");
    await using backstage = await openBackstage();
    if (!(await backstage.sources.remove(name))) {
      throw new AppError("unknown_source", { detail: `There is no source "${name}"` });
    }
    terminal.print(`Source "${name}" is removed.`);
  },
};

/** On the command line itself every user of the machine could read the secret. */
async function readSecret(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file === "-" ? "/dev/stdin" : file, "utf8");
  } catch (error) {
    throw new UsageError(`--secret-file cannot be read: ${errorMessage(error)}`);
  }
  if (text.trim() === "") throw new UsageError("--secret-file is empty");
  return text.trim();
}
