import { limits } from "../../protocol/limits.ts";
import type { BroadcastAccepted } from "../../protocol/broadcasts.ts";
import {
  type NotifyResult,
  type Target,
  categoryPattern,
  defaultCategory,
} from "../../protocol/notifications.ts";
import { listBroadcasts, withdrawBroadcast } from "./broadcasts.ts";
import type { Backstage } from "../backstage.ts";
import type { VerbContext } from "./context.ts";
import { printable } from "./table.ts";
import { type Verb, type VerbArgs, UsageError, countOf, idOf, jsonOption } from "./verb.ts";

const countMax = 1_000;

/** The seed's sender: tells one person something, as often as is wanted; or everybody. */
export const notify: Verb = {
  name: "notify",
  summary: "tell a person, or everybody, something on every device, until they have read it",
  usage: "",
  example: 'notify --user 1 --message "Hello" --count 5',
  options: {
    user: { type: "text", value: "ID", doc: "the person's id; tidings user list shows it" },
    everyone: { type: "flag", doc: "tell everybody instead, also those who come before it ends" },
    login: { type: "text", value: "USERNAME", doc: "must be theirs, if it is given" },
    message: { type: "text", value: "TEXT", doc: "what to tell them" },
    count: { type: "text", value: "N", doc: `how often, 1 to ${countMax}; once unless given` },
    source: { type: "text", value: "NAME", doc: "who tells it; cli unless given" },
    category: { type: "text", value: "NAME", doc: `what people mute by; ${defaultCategory} unless given` },
    ttl: { type: "text", value: "SECONDS", doc: "how long until it ends; the server's default unless given" },
    critical: { type: "flag", doc: "told at once, whatever they have muted" },
    list: { type: "flag", doc: "tell nothing: show what everybody is told, and the ids" },
    withdraw: {
      type: "text",
      value: "ID",
      doc: "tell nothing: end what everybody is told; --list shows ids",
    },
    json: jsonOption,
  },
  settings: true,
  run: async (context, args) => {
    const [message, withdrawn] = [args.text("message"), args.text("withdraw")];
    const wishes = [message, withdrawn, args.flag("list") || undefined].filter((wish) => wish !== undefined);
    if (wishes.length !== 1)
      throw new UsageError("Say what is to be done: --message TEXT, --list, or --withdraw ID");
    if (message !== undefined) return tell(context, args, message);
    if (args.flag("everyone") || args.text("user") !== undefined || args.text("login") !== undefined)
      throw new UsageError("--list and --withdraw are about what everybody is told: nobody is named");
    if (withdrawn !== undefined) return withdrawBroadcast(context, withdrawn);
    return listBroadcasts(context, args.flag("json"));
  },
};

async function tell({ openBackstage, terminal }: VerbContext, args: VerbArgs, text: string): Promise<void> {
  const target = targetOf(args);
  const count = countOf(args.text("count") ?? "1", "count", countMax);
  const message = messageOf(text, count === 1 ? "" : ` #${count}`);
  const ttl = args.text("ttl");
  const request = {
    source: sourceOf(args.text("source") ?? "cli"),
    category: categoryOf(args.text("category") ?? defaultCategory),
    critical: args.flag("critical"),
    ...(ttl === undefined ? {} : { ttl_s: countOf(ttl, "ttl", limits.notificationTtlS) }),
    actor: "system",
  };
  await using backstage = await openBackstage();
  const results: (NotifyResult | BroadcastAccepted)[] = [];
  try {
    for (let n = 1; n <= count; n++) {
      // Several are told apart by their number, as the seed's sender does.
      const numbered = count === 1 ? message : `${message} #${n}`;
      const told = await tellOnce(backstage, target, { ...request, message: numbered });
      results.push(told.result);
      if (!args.flag("json")) terminal.print(`${told.id}  ${printable(numbered)}${told.note}`);
    }
  } finally {
    // Where a later one failed, those before it are told all the same.
    if (args.flag("json") && results.length > 0) terminal.json(results);
  }
}

type Told = { readonly id: string; readonly note: string; readonly result: NotifyResult | BroadcastAccepted };

async function tellOnce(
  backstage: Pick<Backstage, "broadcasts" | "notify">,
  target: Target | undefined,
  request: Omit<Parameters<Backstage["notify"]>[0], "target">,
): Promise<Told> {
  if (target === undefined) {
    const { accepted } = await backstage.broadcasts.tell(request);
    return { id: accepted.broadcast_id, note: "", result: accepted };
  }
  const { results } = await backstage.notify({ ...request, target: [target] });
  const [result] = results;
  if (result === undefined) throw new Error("a target has no result");
  if ("error" in result) throw new Error(`Person ${target.id} cannot be told: ${result.error.detail}`);
  const note = result.held_until === undefined ? "" : `  (held until ${result.held_until})`;
  return { id: result.notification_id, note, result };
}

/** Undefined for everybody. */
function targetOf(args: VerbArgs): Target | undefined {
  const [user, login] = [args.text("user"), args.text("login")];
  if (args.flag("everyone") === (user !== undefined))
    throw new UsageError("Say who is to be told: --user ID, or --everyone");
  if (user === undefined) {
    if (login !== undefined)
      throw new UsageError("--login says whose --user is, and --everyone names nobody");
    return undefined;
  }
  const id = idOf(user, "user list");
  return login === undefined ? { id } : { id, login };
}

/** `suffix`: what is put behind it, at its longest. */
function messageOf(text: string, suffix: string): string {
  const { length } = Array.from(text.trim());
  if (
    length >= 1 &&
    length + suffix.length <= limits.messageTextLength &&
    !text.includes("\0") &&
    text.isWellFormed()
  )
    return text;
  const counted = suffix === "" ? "" : `, "${suffix}" behind it included`;
  throw new UsageError(`--message must have 1 to ${limits.messageTextLength} characters${counted}`);
}

function sourceOf(text: string): string {
  const { length } = Array.from(text.trim());
  if (length >= 1 && length <= limits.nameLength && !/\p{Cc}/u.test(text) && text.isWellFormed()) return text;
  throw new UsageError(
    `--source must have 1 to ${limits.nameLength} characters, none of them a control character`,
  );
}

function categoryOf(text: string): string {
  if (new RegExp(categoryPattern).test(text)) return text;
  throw new UsageError(
    `--category must be lower-case letters, digits, dots, dashes or underscores, and "${text}" is not`,
  );
}
