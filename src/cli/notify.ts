import { limits } from "../../protocol/limits.ts";
import { type NotifyResult, categoryPattern, defaultCategory } from "../../protocol/notifications.ts";
import { type Verb, UsageError, countOf, idOf, jsonOption } from "./verb.ts";

const countMax = 1_000;

/** The seed's sender: tells one person something, as often as is wanted. */
export const notify: Verb = {
  name: "notify",
  summary: "tell a person something, on every device, until they have read it",
  usage: "",
  example: 'notify --user 1 --message "Hello" --count 5',
  options: {
    user: { type: "text", value: "ID", required: true, doc: "the person's id; tidings user list shows it" },
    login: { type: "text", value: "USERNAME", doc: "must be theirs, if it is given" },
    message: { type: "text", value: "TEXT", required: true, doc: "what to tell them" },
    count: { type: "text", value: "N", doc: `how often, 1 to ${countMax}; once unless given` },
    source: { type: "text", value: "NAME", doc: "who tells it; cli unless given" },
    category: { type: "text", value: "NAME", doc: `what people mute by; ${defaultCategory} unless given` },
    ttl: { type: "text", value: "SECONDS", doc: "how long until it ends; the server's default unless given" },
    critical: { type: "flag", doc: "told at once, whatever they have muted" },
    json: jsonOption,
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const id = idOf(args.text("user") ?? "", "user list");
    const login = args.text("login");
    const message = messageOf(args.text("message") ?? "");
    const count = countOf(args.text("count") ?? "1", "count", countMax);
    const ttl = args.text("ttl");
    const request = {
      target: [login === undefined ? { id } : { id, login }],
      source: sourceOf(args.text("source") ?? "cli"),
      category: categoryOf(args.text("category") ?? defaultCategory),
      critical: args.flag("critical"),
      ...(ttl === undefined ? {} : { ttl_s: countOf(ttl, "ttl", limits.notificationTtlS) }),
      actor: "system",
    };
    await using backstage = await openBackstage();
    const results: NotifyResult[] = [];
    for (let n = 1; n <= count; n++) {
      // Several are told apart by their number, as the seed's sender does.
      const text = count === 1 ? message : `${message} #${n}`;
      const answer = await backstage.notify({ ...request, message: text });
      const [result] = answer.results;
      if (result === undefined) throw new Error("a target has no result");
      if ("error" in result) throw new UsageError(`Person ${id} cannot be told: ${result.error.detail}`);
      results.push(result);
      if (!args.flag("json")) terminal.print(`${result.notification_id}  ${text}`);
    }
    if (args.flag("json")) terminal.json(results);
  },
};

function messageOf(text: string): string {
  const { length } = Array.from(text.trim());
  if (length >= 1 && length <= limits.messageTextLength && !text.includes("\0") && text.isWellFormed())
    return text;
  throw new UsageError(`--message must have 1 to ${limits.messageTextLength} characters`);
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
