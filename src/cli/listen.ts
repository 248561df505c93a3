import { createInterface } from "node:readline";
import type { Notification } from "../../protocol/notifications.ts";
import { type CloseRule, closeRules } from "../../protocol/close-codes.ts";
import type { Terminal } from "./terminal.ts";
import { type Verb, UsageError, idOf } from "./verb.ts";

/** After how long a lost connection is opened again, milliseconds, where the server does not say. */
const comeBackMs = 1_000;

type Push = Pick<Notification, "notification_id" | "stream_id" | "message" | "source" | "created_at">;
type Heard =
  | { readonly type: "notification.push"; readonly data: Push }
  | { readonly type: "notification.read.ack"; readonly data: Pick<Push, "notification_id"> }
  | { readonly type: "error"; readonly error: { readonly title: string; readonly detail?: string } };

/** The seed's client: shows what a person is told, and marks it as read. */
export const listen: Verb = {
  name: "listen",
  summary: "show what a person is told, as it comes, and mark it as read",
  usage: "",
  example: "listen --user 1 --login test --auto",
  options: {
    user: { type: "text", value: "ID", required: true, doc: "the person's id; tidings user list shows it" },
    login: { type: "text", value: "USERNAME", doc: "must be theirs, if it is given" },
    auto: { type: "flag", doc: "mark everything as read at once; otherwise Enter marks the oldest" },
    url: {
      type: "text",
      value: "URL",
      doc: "where the server is; this machine and the server's port unless given",
    },
  },
  settings: true,
  run: async ({ openBackstage, readConfig, terminal }, args) => {
    const id = idOf(args.text("user") ?? "", "user list");
    const { port } = await readConfig();
    const url = socketUrl(args.text("url") ?? `http://127.0.0.1:${port}`);
    url.searchParams.set("user_id", String(id));
    const login = args.text("login");
    if (login !== undefined) url.searchParams.set("login", login);
    await using backstage = await openBackstage();
    await using signedIn = await backstage.signInAs(id);
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    process.once("SIGTERM", () => stop.abort());
    const listener = new Listener({ terminal, auto: args.flag("auto") });
    terminal.notice(
      args.flag("auto")
        ? "Everything is marked as read as it comes. Ctrl-C ends it."
        : "Enter marks the oldest unread one as read. Ctrl-C ends it.",
    );
    const lines = createInterface({ input: process.stdin });
    lines.on("line", () => listener.readOldest());
    try {
      while (!stop.signal.aborted) {
        url.searchParams.set("token", await signedIn.token());
        const pauseMs = await listener.follow(url, stop.signal);
        if (!stop.signal.aborted) await pauseUnlessAborted(pauseMs, stop.signal);
      }
    } finally {
      lines.close();
    }
  },
};

function socketUrl(text: string): URL {
  if (!URL.canParse(text) || !/^https?:/.test(text))
    throw new UsageError(
      `--url must be an address that begins with http:// or https://, and "${text}" is not`,
    );
  return new URL("/ws", text.replace(/^http/, "ws"));
}

/** One connection after the other, and what was heard over all of them. */
class Listener {
  readonly #terminal: Terminal;
  readonly #auto: boolean;
  /** Unread, the oldest first. What comes twice is shown once. */
  readonly #unread = new Map<string, Push>();
  #socket: WebSocket | undefined;

  constructor({ terminal, auto }: { readonly terminal: Terminal; readonly auto: boolean }) {
    this.#terminal = terminal;
    this.#auto = auto;
  }

  /** Resolves when the connection is over, with how long to wait before the next. Throws where there is to be none. */
  async follow(url: URL, signal: AbortSignal): Promise<number> {
    // Between the token and this, somebody may have wanted to end it.
    if (signal.aborted) return 0;
    const socket = new WebSocket(url);
    this.#socket = socket;
    const over = Promise.withResolvers<number>();
    socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(String(data)) as Heard));
    socket.addEventListener("close", ({ code }) => over.resolve(code));
    const end = (): void => socket.close();
    signal.addEventListener("abort", end, { once: true });
    const code = await over.promise;
    signal.removeEventListener("abort", end);
    this.#socket = undefined;
    if (signal.aborted) return 0;
    const rule = Object.values<CloseRule>(closeRules).find((one) => one.code === code);
    if (rule?.reconnect === false)
      throw new UsageError(`The server has closed the connection: ${rule.meaning}`);
    this.#terminal.notice(`The connection is lost (${rule?.meaning ?? code}); trying again.`);
    return comeBackMs;
  }

  readOldest(): void {
    const [oldest] = this.#unread.values();
    if (oldest === undefined) this.#terminal.notice("Nothing is unread.");
    else this.#read(oldest);
  }

  #read({ notification_id, stream_id }: Push): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ type: "notification.read", data: { notification_id, stream_id } }));
  }

  #hear(frame: Heard): void {
    const { print, notice, style } = this.#terminal;
    if (frame.type === "error") return notice(`${frame.error.title}: ${frame.error.detail ?? ""}`);
    const { data } = frame;
    if (frame.type === "notification.read.ack") {
      const known = this.#unread.get(data.notification_id);
      if (this.#unread.delete(data.notification_id)) print(style("dim", `read  ${known?.message ?? ""}`));
      return;
    }
    const push = frame.data;
    if (!this.#unread.has(push.notification_id)) {
      this.#unread.set(push.notification_id, push);
      print(
        `${style("bold", "new")}   ${push.message}  ${style("dim", `${push.source}, ${push.created_at}`)}`,
      );
    }
    if (this.#auto) this.#read(push);
  }
}

function pauseUnlessAborted(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
