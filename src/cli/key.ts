import { type Scope, isScope, scopes } from "../../protocol/scopes.ts";
import { AppError } from "../lib/errors.ts";
import type { ApiKey } from "../access/api-keys.ts";
import type { Backstage } from "../backstage.ts";
import { suggestion } from "./nearest.ts";
import { moment } from "./table.ts";
import { UsageError, type Verb, countOf, idOf, jsonOption, program } from "./verb.ts";
import { keyView } from "./key-view.ts";

const dayMs = 86_400_000;
const daysMax = 36_500;

export const keyCreate: Verb = {
  name: "key create",
  summary: "create an API key and print it once",
  usage: "NAME",
  example: "key create shop --scopes webhook:write --source demo",
  options: {
    scopes: {
      type: "text",
      value: "SCOPES",
      required: true,
      doc: `what it may do, separated by commas: ${Object.keys(scopes).join(", ")}`,
    },
    source: { type: "text", value: "NAME", doc: "the webhook source that it speaks for" },
    days: { type: "text", value: "N", doc: "days after which it expires; without it, never" },
  },
  settings: true,
  run: async (context, args) => {
    const wanted = scopesOf(args.text("scopes") ?? "");
    const daysText = args.text("days");
    const days = daysText === undefined ? undefined : countOf(daysText, "days", daysMax);
    await using backstage = await context.openBackstage();
    const sourceName = args.text("source");
    const sourceId = sourceName === undefined ? undefined : await sourceIdOf(backstage, sourceName);
    const { access, clock } = backstage.deps;
    const { key, secret } = await access.apiKeys.create({
      name: args.argument("NAME"),
      scopes: wanted,
      ...(sourceId === undefined ? {} : { sourceId }),
      ...(days === undefined ? {} : { expiresAt: new Date(clock.now() + days * dayMs) }),
    });
    context.terminal.notice(`Key ${key.id} "${key.name}", shown this once:`);
    context.terminal.print(secret);
  },
};

export const keyList: Verb = {
  name: "key list",
  summary: "list the API keys; the keys themselves cannot be shown",
  usage: "",
  example: "key list --json",
  options: { json: jsonOption },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const keys = await backstage.deps.access.apiKeys.list();
    if (args.flag("json")) return terminal.json(keys.map(keyView));
    if (keys.length === 0) {
      return terminal.notice(`There are no API keys yet: ${program} ${keyCreate.example}`);
    }
    const names = new Map((await backstage.sources.list()).map(({ id, name }) => [id, name]));
    const now = backstage.deps.clock.now();
    terminal.table(
      ["id", "name", "key", "scopes", "source", "state", "last used", "expires"],
      keys.map((key) => [
        key.id,
        key.name,
        `${key.hint}…`,
        key.scopes.join(","),
        key.sourceId === undefined ? "-" : (names.get(key.sourceId) ?? `#${key.sourceId}`),
        stateOf(key, now),
        moment(key.lastUsedAt),
        moment(key.expiresAt),
      ]),
    );
  },
};

export const keyRevoke: Verb = {
  name: "key revoke",
  summary: "end an API key; every process honours it within 2 s",
  usage: "ID",
  example: "key revoke 3",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const id = idOf(args.argument("ID"), "key list");
    await using backstage = await openBackstage();
    if (!(await backstage.deps.access.apiKeys.revoke(id))) {
      throw new AppError("not_found", { detail: `There is no active key ${id}` });
    }
    terminal.print(`Key ${id} is revoked.`);
  },
};

function scopesOf(text: string): readonly Scope[] {
  return text.split(",").map((item) => {
    const scope = item.trim();
    if (isScope(scope)) return scope;
    const all = Object.keys(scopes);
    throw new UsageError(`There is no scope "${scope}" among ${all.join(", ")}.${suggestion(scope, all)}`);
  });
}

async function sourceIdOf(backstage: Backstage, wanted: string): Promise<number> {
  const sources = await backstage.sources.list();
  const found = sources.find(({ name }) => name === wanted);
  if (found !== undefined) return found.id;
  const like = suggestion(
    wanted,
    sources.map(({ name }) => name),
  );
  const end = like === "" ? "" : `.${like}`;
  throw new AppError("unknown_source", { detail: `There is no source "${wanted}"${end}` });
}

function stateOf(key: ApiKey, now: number): string {
  if (key.revokedAt !== undefined) return "revoked";
  return key.expiresAt !== undefined && key.expiresAt.getTime() <= now ? "expired" : "active";
}
