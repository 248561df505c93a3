import { uuidv7 } from "../protocol/ids.ts";
import type { Clock } from "./clock.ts";
import { type TidingsError, asTidingsError, clientError } from "./errors.ts";
import { type Observable, type OnError, type Source, createSource } from "./observable.ts";
import {
  type QueuedMessage,
  inOrder,
  isWorthRetrying,
  nextToSend,
  parseStored,
  queueBytesMax,
  queueMessagesMax,
  storedText,
} from "./queued-message.ts";
import { byteLength } from "./requests.ts";
import { RoomPauses } from "./room-pauses.ts";
import type { ClientStorage } from "./storage.ts";

export type NewText = { readonly roomId: number; readonly content: string; readonly replyTo?: string };

export type SendQueueDeps = {
  readonly storage: ClientStorage;
  /** What its keys begin with: the person's, so that nobody sends what another one wrote on the same device. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onError: OnError;
  /**
   * Sends it once. Throws `TidingsError`. When the server has it, resolves with what shows the answer: that is called
   * before the message leaves the queue, so that whoever shows both never shows neither.
   */
  readonly deliver: (message: QueuedMessage, signal: AbortSignal) => Promise<() => void>;
};

/** Repetitions of a message in a row that may fail before what others than the server answer to it is final. */
export const foreignAnswersMax = 30;

/**
 * Messages on their way to the server. Each is in one place: queued, in flight, failed, or gone because the server has
 * it or because it was discarded. It is stored before it is sent for the first time, and it keeps its id however often
 * it is sent, so that it arrives once.
 */
export class SendQueue {
  readonly messages: Observable<readonly QueuedMessage[]>;
  readonly #deps: SendQueueDeps;
  readonly #messages: Source<readonly QueuedMessage[]>;
  readonly #pauses: RoomPauses;
  /** Stored in this very moment: no other tab can have read them, much less discarded them. */
  readonly #fresh = new Set<string>();
  /** Failed ones that are being sent once more: whoever asks again meanwhile would send them twice. */
  readonly #resending = new Set<string>();
  #running: AbortController | undefined;
  #loaded: Promise<void> | undefined;
  #lastN = 0;

  constructor(deps: SendQueueDeps) {
    this.#deps = deps;
    this.#pauses = new RoomPauses({ ...deps, onEnd: () => this.#pump() });
    this.#messages = createSource<readonly QueuedMessage[]>([], deps.onError);
    this.messages = this.#messages;
  }

  /** Takes up what the storage has, and sends. Rejects when it cannot be read. */
  async start(): Promise<void> {
    this.#running ??= new AbortController();
    this.#loaded ??= this.#load().catch((error: unknown) => {
      this.#loaded = undefined;
      throw clientError("storage_failed", error);
    });
    await this.#loaded;
    this.#pump();
  }

  /** What is on its way counts as queued again; nothing is sent until the next `start`. */
  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#pauses.clear();
    if (this.#messages.get().some(({ status }) => status === "in_flight")) {
      this.#set(this.#messages.get().map((item) => (item.status === "in_flight" ? queued(item) : item)));
    }
  }

  /** Resolves with the message's id when it is stored. Throws `queue_full` and `storage_failed`: then it is not queued. */
  async send(text: NewText): Promise<string> {
    const id = await this.#add(text);
    this.#sendFresh(id);
    return id;
  }

  /** `replaces` is a failed one, which goes when the new one is stored; if it has gone before, there is no new one. */
  async #add({ roomId, content, replyTo }: NewText, replaces?: string): Promise<string> {
    const { clock } = this.#deps;
    const now = clock.now();
    // After all that older loads of this page have written, which may not be read yet.
    this.#lastN = Math.max(this.#lastN + 1, now);
    const message: QueuedMessage = {
      client_msg_id: uuidv7(now),
      room_id: roomId,
      content,
      reply_to: replyTo ?? null,
      created_at: new Date(now).toISOString(),
      status: "queued",
      n: this.#lastN,
      stored: false,
    };
    this.#requireRoom(message);
    this.#set([...this.#messages.get(), message]);
    await this.#store(message, replaces);
    return message.client_msg_id;
  }

  #sendFresh(clientMsgId: string): void {
    this.#fresh.add(clientMsgId);
    this.#pump();
    this.#fresh.delete(clientMsgId);
  }

  /** Sends a failed message once more, as a new one: under its old id the server would only refuse it again. */
  async resend(clientMsgId: string): Promise<string> {
    const failed = this.#find(clientMsgId);
    if (failed?.status !== "failed" || this.#resending.has(clientMsgId)) throw clientError("not_failed");
    this.#resending.add(clientMsgId);
    try {
      const isThere = await this.#isStillThere(clientMsgId);
      // Discarded meanwhile, or the server has it after all.
      if (!isThere || this.#find(clientMsgId)?.status !== "failed") throw clientError("not_failed");
      const { room_id: roomId, content, reply_to } = failed;
      const text = { roomId, content, ...(reply_to === null ? {} : { replyTo: reply_to }) };
      const id = await this.#add(text, clientMsgId);
      this.#sendFresh(id);
      // Unless the new one was discarded while it was stored: then this one is still here.
      if (this.#find(clientMsgId) === undefined) await this.#remove(clientMsgId);
      return id;
    } finally {
      this.#resending.delete(clientMsgId);
    }
  }

  /** Forgets a message that is not on its way. False when it is, or is not there. */
  async discard(clientMsgId: string): Promise<boolean> {
    const message = this.#find(clientMsgId);
    if (message === undefined || message.status === "in_flight") return false;
    this.#drop(clientMsgId);
    await this.#remove(clientMsgId);
    this.#pump();
    return true;
  }

  /** The server has it: an entry said so. */
  confirm(clientMsgId: string): void {
    if (this.#find(clientMsgId) === undefined) return;
    this.#drop(clientMsgId);
    void this.#remove(clientMsgId);
    this.#pump();
  }

  /** The connection is back: pauses that no server has asked for are over. */
  hurry(): void {
    this.#pauses.hurry();
    this.#pump();
  }

  async #load(): Promise<void> {
    const texts = await this.#deps.storage.load(this.#deps.prefix);
    const found = [...texts.values()].map(parseStored).filter((message) => message !== undefined);
    const known = new Set(this.#messages.get().map(({ client_msg_id }) => client_msg_id));
    const older = found.filter(({ client_msg_id }) => !known.has(client_msg_id)).sort(inOrder);
    this.#lastN = older.reduce((n, message) => Math.max(n, message.n), this.#lastN);
    this.#set([...older, ...this.#messages.get()]);
  }

  /** Throws `queue_full` when the message is one too many, or too large for the rest. */
  #requireRoom(message: QueuedMessage): void {
    const messages = this.#messages.get();
    const bytes = [...messages, message].reduce((sum, item) => sum + byteLength(storedText(item)), 0);
    if (messages.length >= queueMessagesMax || bytes > queueBytesMax) throw clientError("queue_full");
  }

  async #store(message: QueuedMessage, replaces?: string): Promise<void> {
    const { client_msg_id } = message;
    try {
      await this.#deps.storage.save(this.#deps.prefix + client_msg_id, storedText(message));
    } catch (error) {
      this.#drop(client_msg_id);
      // It may arrive there yet: whoever wrote it is told that it is not kept.
      void this.#remove(client_msg_id);
      throw clientError("storage_failed", error);
    }
    // It was discarded while it was stored.
    if (this.#find(client_msg_id) === undefined) return this.#remove(client_msg_id);
    if (replaces !== undefined && this.#find(replaces)?.status !== "failed") {
      this.#drop(client_msg_id);
      await this.#remove(client_msg_id);
      throw clientError("not_failed");
    }
    if (replaces !== undefined) this.#drop(replaces);
    this.#replace(client_msg_id, (item) => ({ ...item, stored: true }));
  }

  #pump(): void {
    if (this.#running === undefined) return;
    const { signal } = this.#running;
    const isPaused = (roomId: number): boolean => this.#pauses.isPaused(roomId);
    for (const message of nextToSend(this.#messages.get(), isPaused)) void this.#attempt(message, signal);
    this.#pauses.wake();
  }

  async #attempt(message: QueuedMessage, signal: AbortSignal): Promise<void> {
    const { client_msg_id: id, room_id: roomId } = message;
    this.#replace(id, (item) => ({ ...item, status: "in_flight" }));
    // Whoever was told of that may have discarded another one before it.
    if (this.#find(id)?.status !== "in_flight") return;
    if (!this.#fresh.has(id)) {
      const isThere = await this.#isStillThere(id);
      if (signal.aborted) return;
      if (!isThere) return this.#pump();
    }
    const outcome = await this.#deps.deliver(message, signal).then(
      (show) => ({ show }),
      (reason: unknown) => ({ error: asTidingsError(reason) }),
    );
    // After `stop` it is queued already, and perhaps on its way once more.
    if (signal.aborted) return;
    if ("show" in outcome) {
      this.#pauses.over(roomId);
      outcome.show();
      this.confirm(id);
    } else if (this.#find(id) !== undefined) await this.#failed(message, outcome.error);
    if (!signal.aborted) this.#pump();
  }

  /**
   * Whether the storage still has the message. Another tab reads the same storage when it opens, and may since have sent
   * it, or discarded it: then it is gone here, too. A storage that cannot be read is no reason to keep it back.
   */
  async #isStillThere(id: string): Promise<boolean> {
    const key = this.#deps.prefix + id;
    const text = await this.#deps.storage.load(key).then(
      (found) => found.get(key),
      () => "unknown",
    );
    if (text === undefined) this.#drop(id);
    return text !== undefined;
  }

  async #failed({ client_msg_id: id, room_id: roomId }: QueuedMessage, error: TidingsError): Promise<void> {
    // A firewall that dislikes one message must not hold up the room for ever. It can be sent again by hand.
    const isHopeless =
      error.code === "unexpected_answer" && this.#pauses.foreignAnswers(roomId) >= foreignAnswersMax;
    if (isWorthRetrying(error) && !isHopeless) {
      this.#replace(id, queued);
      this.#pauses.failed(roomId, error);
      return;
    }
    this.#pauses.over(roomId);
    const { code, message } = error;
    this.#replace(id, (item) => ({ ...item, status: "failed", error: { code, message } }));
    const failed = this.#find(id);
    // Stored too, so that it does not come back as one that was never refused. If not, it is refused once more.
    if (failed === undefined) return;
    this.#pump();
    // Discarded in another tab, or here meanwhile.
    if (!(await this.#isStillThere(id)) || this.#find(id) === undefined) return;
    await this.#deps.storage.save(this.#deps.prefix + id, storedText(failed)).catch(() => undefined);
  }

  #find(clientMsgId: string): QueuedMessage | undefined {
    return this.#messages.get().find(({ client_msg_id }) => client_msg_id === clientMsgId);
  }

  #replace(clientMsgId: string, change: (message: QueuedMessage) => QueuedMessage): void {
    this.#set(this.#messages.get().map((item) => (item.client_msg_id === clientMsgId ? change(item) : item)));
  }

  #drop(clientMsgId: string): void {
    this.#set(this.#messages.get().filter(({ client_msg_id }) => client_msg_id !== clientMsgId));
  }

  /** What could not be removed is sent again after a reload, and is the same message then. */
  #remove(clientMsgId: string): Promise<void> {
    return this.#deps.storage.remove(this.#deps.prefix + clientMsgId).catch(() => undefined);
  }

  #set(messages: readonly QueuedMessage[]): void {
    this.#messages.set(messages);
  }
}

function queued(message: QueuedMessage): QueuedMessage {
  return { ...message, status: "queued" };
}
