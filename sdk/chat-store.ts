import type { Message, MessagesQuery } from "../protocol/chat.ts";
import { topics } from "../protocol/topics.ts";
import { type ChatCalls, chatCallsUntil } from "./chat-calls.ts";
import { orNoMember, readRoom, readRooms } from "./chat-reader.ts";
import { applyEntry, applySnapshot, emptyChat, limitedEntry, markRead, withPending } from "./chat-state.ts";
import type { ChatEntry, ChatState, Snapshot } from "./chat-view.ts";
import type { Client } from "./client.ts";
import { Errands, isPassing } from "./errands.ts";
import { clientError } from "./errors.ts";
import { Journal, type Scope } from "./journal.ts";
import { type Source, createSource } from "./observable.ts";
import type { QueuedMessage } from "./queued-message.ts";
import { RoomTopics, once } from "./room-topics.ts";
import { SendQueue } from "./send-queue.ts";

/** The name of the socket's request that sends a message. */
const sendRequest = "message.send";

/**
 * The rooms of the person who is signed in, kept up to date: snapshots over HTTP, entries over the socket, what is
 * written on this device. Resolves when it is known who that is; rooms come when they are read. Starts the client.
 */
export async function openChat(client: Client): Promise<ChatStore> {
  const { id } = await client.whoAmI();
  const store = new ChatStore(client, id);
  try {
    await store.start();
  } catch (error) {
    store.stop();
    throw error;
  }
  return store;
}

export class ChatStore {
  readonly #client: Client;
  readonly #state: Source<ChatState>;
  readonly #queue: SendQueue;
  readonly #errands: Errands;
  readonly #rooms: RoomTopics;
  readonly #ends: (() => void)[] = [];
  /** Rooms whose messages are on a screen, those whose members are, and how often entries of a room were missed. */
  readonly #opened = new Set<number>();
  readonly #listed = new Set<number>();
  /** How often each room was asked for. */
  readonly #wishes = new Map<number, number>();
  readonly #gaps = new Map<number, number>();
  readonly #journal = new Journal();
  /** The list of rooms was read. Before that a person may not even be a member of those that everybody is in. */
  #listRead = false;
  #resting = false;
  #stopped = false;

  constructor(client: Client, me: number) {
    const { storage, clock, random, onError } = client.surroundings;
    this.#client = client;
    this.#state = createSource(emptyChat(me), onError);
    this.#rooms = new RoomTopics(client, {
      entry: (entry) => this.#entry(entry),
      missed: (roomId) => this.#missed(roomId),
      over: (roomId) => this.#readRoom(roomId),
    });
    this.#errands = new Errands({ clock, random, onError });
    this.#queue = new SendQueue({
      storage,
      prefix: `outbox/${me}/`,
      clock,
      random,
      onError,
      deliver: (message, signal) => this.#deliver(message, signal),
    });
  }

  readonly get = (): ChatState => this.#state.get();
  readonly subscribe = (listener: (state: ChatState) => void): (() => void) =>
    this.#state.subscribe(listener);
  /** Everything that waits to be sent, with why it failed. */
  get outbox(): SendQueue["messages"] {
    return this.#queue.messages;
  }

  async start(): Promise<void> {
    const { account, connection } = this.#client;
    const { me } = this.get();
    this.#ends.push(
      this.#queue.messages.subscribe((waiting) => this.#set(withPending(this.get(), waiting))),
      // Somebody else has signed in, perhaps in another tab: what one person wrote is not sent as another one's.
      account.subscribe((person) => {
        if (person !== undefined && person.id !== me) this.stop();
      }),
      connection.subscribe(({ state, reason, userId = me }) => {
        if (userId !== me) this.stop();
        else if (reason === "stopped") this.#rest();
        else if (state === "open" || this.#resting) this.#hurry();
      }),
      this.#client.subscribe(topics.user(me), {
        entry: (entry) => this.#entry(entry),
        live: once(() => this.#readRooms()),
        limited: () => this.#readRooms(),
      }),
    );
    this.#client.start();
    await this.#queue.start();
  }

  /**
   * Ends everything of this store for good, as happens when somebody else signs in. The client stays as it is; what
   * waits to be sent stays in the storage. While the client is stopped, the store rests, and goes on with it.
   */
  stop(): void {
    this.#stopped = true;
    this.#queue.stop();
    this.#errands.stop();
    for (const end of this.#ends.splice(0)) end();
    this.#rooms.end();
  }

  /**
   * Reads the room's newest messages, and reads them anew whenever entries were missed. Throws the server's refusal, or
   * `not_member`, when there is nothing to show.
   */
  async openRoom(roomId: number): Promise<void> {
    this.#opened.add(roomId);
    await this.#show(roomId);
  }

  /** Nobody looks at its messages any more. They stay, but are not read anew. */
  closeRoom(roomId: number): void {
    this.#opened.delete(roomId);
  }

  /**
   * More messages: `{ before }` the first one that is known, `{ around }` one that is linked to. Throws `not_member`
   * for a room that is not among the person's.
   */
  async loadMessages(roomId: number, query: MessagesQuery = {}): Promise<void> {
    await this.#read(roomId, async () => ({
      kind: "page",
      roomId,
      page: await this.#client.chat.messages(roomId, query),
    }));
    if (!this.#stopped && this.get().rooms[roomId] === undefined) throw clientError("not_member");
  }

  /** All members of the room, from now on. Of a room with very many they stay unknown. Throws as `openRoom` does. */
  async loadMembers(roomId: number): Promise<void> {
    this.#listed.add(roomId);
    await this.#show(roomId);
  }

  /** Resolves with the message's `client_msg_id` when it is stored on this device; it shows as pending at once. */
  send(roomId: number, content: string, replyTo?: string): Promise<string> {
    return this.#queue.send({ roomId, content, ...(replyTo === undefined ? {} : { replyTo }) });
  }

  /** Sends a failed message once more, as a new one. */
  resend(clientMsgId: string): Promise<string> {
    return this.#queue.resend(clientMsgId);
  }

  /** Forgets a message that has not been sent. False when it is on its way. */
  discard(clientMsgId: string): Promise<boolean> {
    return this.#queue.discard(clientMsgId);
  }

  /** Everything up to `seq` is read: here at once, on the server as soon as it can be told. */
  markRead(roomId: number, seq: number): void {
    const before = this.get();
    this.#set(markRead(before, roomId, seq));
    if (this.get() === before) return;
    this.#inBackground(`mark ${roomId}`, async (calls) => {
      const view = this.get().rooms[roomId];
      if (view === undefined) return;
      const read = await calls.markRead(roomId, view.last_read_seq).catch(orNoMember);
      if (read !== undefined) this.#entry({ type: "room.read", data: read });
    });
  }

  #hurry(): void {
    // Rejects only while the storage was never read, which is told elsewhere.
    if (this.#resting) void this.#queue.start().catch(() => undefined);
    this.#resting = false;
    this.#queue.hurry();
    this.#errands.hurry();
  }

  /** The client was stopped: nothing is sent or read until it is started. */
  #rest(): void {
    this.#resting = true;
    this.#queue.stop();
    this.#errands.pause();
  }

  async #deliver(queued: QueuedMessage, signal: AbortSignal): Promise<() => void> {
    const { client_msg_id, room_id, content, reply_to } = queued;
    const body = { client_msg_id, content, ...(reply_to === null ? {} : { reply_to }) };
    const gaps = this.#gaps.get(room_id);
    const message = await (isOpen(this.#client)
      ? this.#client.request<Message>(sendRequest, { room_id, ...body })
      : this.#client.chat.send(room_id, body, { attempts: 1, signal }));
    return () => {
      this.#entry({ type: "message.created", data: { message } });
      // The answer may be older than what was missed meanwhile, and what was missed may speak of it.
      if (gaps !== this.#gaps.get(room_id)) this.#missed(room_id);
    };
  }

  #entry(entry: ChatEntry): void {
    this.#journal.note(entry);
    this.#set(applyEntry(this.get(), entry));
    if (entry.type === "room.joined" || entry.type === "room.left") this.#follow();
    this.#confirm(entry);
  }

  /** One's own message is there, whatever became of the answer. */
  #confirm({ type, data }: ChatEntry): void {
    if (!type.startsWith("message.") || typeof data !== "object" || data === null) return;
    const { message } = data as { readonly message?: Message };
    if (message !== undefined) this.#confirmOwn(message);
  }

  /** Also one that was refused at last: an earlier attempt, that was given up, may have come through after all. */
  #confirmOwn({ user_id, client_msg_id }: Message): void {
    if (user_id === this.get().me) this.#queue.confirm(client_msg_id);
  }

  /** Reads a room that somebody wants to see: at once, or, where that fails for now, by itself later. */
  async #show(roomId: number): Promise<void> {
    try {
      await this.#showNow(roomId);
    } catch (error) {
      if (isPassing(error) && this.#isShown(roomId) && !this.#stopped) this.#readRoom(roomId);
      throw error;
    }
  }

  async #showNow(roomId: number): Promise<void> {
    const wish = (this.#wishes.get(roomId) ?? 0) + 1;
    this.#wishes.set(roomId, wish);
    const read = (): Promise<Snapshot> => this.#read(roomId, () => this.#readOne(roomId));
    const isShown = (): boolean => this.#stopped || this.get().rooms[roomId] !== undefined;
    let snapshot = await read();
    if (!isShown() && !this.#listRead) {
      await this.#readList();
      if (isShown()) snapshot = await read();
    }
    if (isShown()) return;
    // Whoever asked for it later may be answered otherwise.
    if (this.#wishes.get(roomId) === wish) {
      this.#opened.delete(roomId);
      this.#listed.delete(roomId);
    }
    throw (snapshot.kind === "gone" ? snapshot.refusal : undefined) ?? clientError("not_member");
  }

  #read(scope: Scope, ask: () => Promise<Snapshot>): Promise<Snapshot> {
    return this.#journal.read(scope, ask, (snapshot, since) => {
      this.#set(applySnapshot(this.get(), snapshot, since));
      this.#follow();
      const page = snapshot.kind === "room" || snapshot.kind === "page" ? snapshot.page : undefined;
      for (const message of page?.items ?? []) this.#confirmOwn(message);
    });
  }

  /** Entries of the room were missed, or may have been. */
  #missed(roomId: number): void {
    this.#gaps.set(roomId, (this.#gaps.get(roomId) ?? 0) + 1);
    this.#entry(limitedEntry(roomId));
    if (this.#isShown(roomId)) this.#readRoom(roomId);
    else this.#readRooms();
  }

  #isShown(roomId: number): boolean {
    return this.#opened.has(roomId) || this.#listed.has(roomId);
  }

  #readOne(roomId: number, calls = this.#client.chat): Promise<Snapshot> {
    return readRoom(calls, roomId, {
      messages: this.#opened.has(roomId),
      members: this.#listed.has(roomId),
    });
  }

  #readRooms(): void {
    this.#inBackground("rooms", (calls) => this.#readList(calls));
  }

  async #readList(calls = this.#client.chat): Promise<void> {
    await this.#read("rooms", () => readRooms(calls));
    this.#listRead = true;
  }

  #readRoom(roomId: number): void {
    this.#inBackground(`room ${roomId}`, async (calls) => {
      await this.#read(roomId, () => this.#readOne(roomId, calls));
    });
  }

  #inBackground(key: string, work: (calls: ChatCalls) => Promise<void>): void {
    this.#errands.run(key, (signal) => work(chatCallsUntil(signal, this.#client.http)));
  }

  #set(next: ChatState): void {
    if (!this.#stopped) this.#state.set(next);
  }

  /** Subscribes to the rooms that are there, and to no others. */
  #follow(): void {
    if (this.#stopped) return;
    const { rooms } = this.get();
    for (const roomId of this.#rooms.follow(new Set(Object.keys(rooms).map(Number)))) {
      this.#opened.delete(roomId);
      this.#listed.delete(roomId);
    }
    this.#set(withPending(this.get(), this.#queue.messages.get()));
  }
}

function isOpen({ connection }: Client): boolean {
  const { state } = connection.get();
  return state === "open" || state === "draining";
}
