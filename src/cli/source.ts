import type { ApiKey } from "../access/api-keys.ts";
import { AppError } from "../lib/errors.ts";
import { type SourceScheme, sourceSchemes } from "../../protocol/inbox.ts";
import { limits } from "../../protocol/limits.ts";
import { readSecretFile } from "./secret-file.ts";
import { moment } from "./table.ts";
import { UsageError, type Verb, type VerbArgs, countOf, jsonOption, program, wordOf } from "./verb.ts";

export const sourceCreate: Verb = {
  name: "source create",
  summary: "create a webhook source and print its secret or API key once",
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
    const given = file === undefined ? undefined : await readSecretFile(file, "secret-file");
    await using backstage = await openBackstage();
    const { source, secret } = await backstage.sources.create({
      name: args.argument("NAME"),
      scheme,
      ...(given === undefined ? {} : { secret: given }),
    });
    terminal.notice(`Source ${source.id} "${source.name}"; its ${credentialOf(source)}, shown this once:`);
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
    if (args.flag("json")) return terminal.json(sources.map(backstage.sourceView));
    if (sources.length === 0) {
      return terminal.notice(`There are no sources yet: ${program} ${sourceCreate.example}`);
    }
    terminal.table(
      ["id", "name", "scheme", "created"],
      sources.map(({ id, name, scheme, createdAt }) => [id, name, scheme, moment(createdAt)]),
    );
  },
};

export const sourceRotate: Verb = {
  name: "source rotate",
  summary: "give a source a new secret or API key and print it once",
  usage: "NAME",
  example: "source rotate shop --now",
  options: {
    grace: {
      type: "text",
      value: "SECONDS",
      doc: `how long the previous secret or key stays good, 1 to ${limits.rotationGraceS}; a day unless given`,
    },
    now: { type: "flag", doc: "end the previous secret or key at once: after a leak" },
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const name = args.argument("NAME");
    const graceS = graceOf(args);
    await using backstage = await openBackstage();
    const { source, secret, endsAt } = await backstage.sources.rotate(name, { graceS });
    const end = graceS === 0 ? "within two seconds" : `at ${moment(endsAt)}`;
    const replaced =
      source.scheme === "api_key"
        ? endingOf(await backstage.deps.access.apiKeys.list(), source.id, endsAt)
        : "the previous one ends";
    const fate = replaced === undefined ? "it replaces none" : `${replaced} ${end}`;
    terminal.notice(`The new ${credentialOf(source)} of "${name}", shown this once; ${fate}:`);
    terminal.print(secret);
  },
};

/** The keys that a rotation has given their end, whoever made them: `keys 3 "shop", 5 "till" end`. */
function endingOf(keys: readonly ApiKey[], sourceId: number, endsAt: Date): string | undefined {
  const ending = keys.filter(
    (key) =>
      key.sourceId === sourceId &&
      key.revokedAt === undefined &&
      key.expiresAt?.getTime() === endsAt.getTime(),
  );
  if (ending.length === 0) return undefined;
  const named = ending.map(({ id, name }) => `${id} "${name}"`).join(", ");
  return ending.length === 1 ? `key ${named} ends` : `keys ${named} end`;
}

function credentialOf({ scheme }: { readonly scheme: SourceScheme }): string {
  return scheme === "api_key" ? "API key" : "secret";
}

function graceOf(args: VerbArgs): number {
  const grace = args.text("grace");
  if (!args.flag("now")) {
    return grace === undefined ? limits.rotationGraceS : countOf(grace, "grace", limits.rotationGraceS);
  }
  if (grace !== undefined) throw new UsageError("--now and --grace contradict each other: give one of them");
  return 0;
}

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
