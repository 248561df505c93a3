import { limits } from "../../protocol/limits.ts";
import { printable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** No more can be unread at a time: of more than so many, the oldest have ended. */
export const unreadMax = limits.notificationsPerPerson + limits.broadcasts;

/** What a notification is named by when it is marked. */
export type Place = { readonly notification_id: string; readonly stream_id: string };
type Push = Place & { readonly message: string; readonly source: string; readonly created_at: string };
type Unread = Push & {
  /** The server was told over this connection that it is read. */
  told: boolean;
};

/** What a person was told over one connection after the other, and what of it they have not read. */
export class UnreadList {
  readonly #terminal: Pick<Terminal, "print" | "notice" | "style">;
  readonly #auto: boolean;
  /** The oldest first, by id. What comes twice is shown once. */
  readonly #unread = new Map<string, Unread>();
  /** Tells the server that one was read; undefined while there is no connection. */
  #tell: ((place: Place) => void) | undefined;

  constructor(terminal: Pick<Terminal, "print" | "notice" | "style">, options: { readonly auto: boolean }) {
    this.#terminal = terminal;
    this.#auto = options.auto;
  }

  /** There is a connection, which knows nothing of what the last one was told. */
  connected(tell: (place: Place) => void): void {
    this.#tell = tell;
    for (const one of this.#unread.values()) one.told = false;
  }

  disconnected(): void {
    this.#tell = undefined;
  }

  /** Takes one message of the server. What it does not know it leaves alone: servers may be newer. */
  hear(text: string): void {
    const frame = fieldsOf(parsed(text));
    const data = fieldsOf(frame["data"]);
    if (frame["type"] === "notification.push") this.#push(data);
    else if (frame["type"] === "notification.read.ack") this.#read(data);
    else if (frame["type"] === "error") {
      const { title, detail } = fieldsOf(frame["error"]);
      const words = [title, detail].filter((word) => typeof word === "string");
      this.#terminal.notice(printable(words.join(": ")));
    }
  }

  /** Marks the oldest that was not marked yet. */
  readOldest(): void {
    const { notice } = this.#terminal;
    if (this.#tell === undefined) return notice("There is no connection at the moment: nothing was marked.");
    const oldest = this.#unread.values().find(({ told }) => !told);
    if (oldest === undefined) notice("Nothing is unread.");
    else this.#markRead(oldest);
  }

  #push(data: Fields): void {
    const { notification_id, stream_id, message, source, created_at } = data;
    if (!isText(notification_id) || !isText(stream_id) || !isText(message)) return;
    const known = this.#unread.get(notification_id);
    const push = {
      notification_id,
      stream_id,
      message,
      source: textOf(source),
      created_at: textOf(created_at),
    };
    const one = known ?? { ...push, told: false };
    if (known === undefined) {
      this.#unread.set(notification_id, one);
      const [oldest] = this.#unread.keys();
      if (this.#unread.size > unreadMax && oldest !== undefined) this.#unread.delete(oldest);
      const { print, style } = this.#terminal;
      // All of it was written by strangers, and a terminal obeys what is written to it.
      const from = style("dim", printable(`${push.source}, ${push.created_at}`));
      print(`${style("bold", "new")}   ${printable(message)}  ${from}`);
    }
    if (this.#auto) this.#markRead(one);
  }

  #read({ notification_id: id }: Fields): void {
    if (!isText(id)) return;
    const known = this.#unread.get(id);
    if (known === undefined) return;
    this.#unread.delete(id);
    const { print, style } = this.#terminal;
    print(style("dim", `read  ${printable(known.message)}`));
  }

  #markRead(one: Unread): void {
    if (this.#tell === undefined) return;
    one.told = true;
    this.#tell({ notification_id: one.notification_id, stream_id: one.stream_id });
  }
}

type Fields = Readonly<Record<string, unknown>>;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function textOf(value: unknown): string {
  return isText(value) ? value : "";
}
