import type { Message, MessagesQuery } from "../protocol/chat.ts";
import { topics } from "../protocol/topics.ts";
import { type ChatCalls, chatCallsUntil } from "./chat-calls.ts";
import { orNoMember, readRoom, readRooms } from "./chat-reader.ts";
import {
  applyEntry,
  applySnapshot,
  emptyChat,
  entryMessage,
  entryRoom,
  limitedEntry,
  markRead,
  withNewestOnly,
  withPending,
} from "./chat-state.ts";
import type { ChatEntry, ChatState, Snapshot } from "./chat-view.ts";
import type { Client } from "./client.ts";
import { Errands } from "./errands.ts";
import { clientError } from "./errors.ts";
import { followPerson } from "./follow-person.ts";
import { Journal, type Scope } from "./journal.ts";
import { type Source, createSource } from "./observable.ts";
import type { QueuedMessage } from "./queued-message.ts";
import { RoomTopics, once } from "./room-topics.ts";
import { sendOnce } from "./send-once.ts";
import { SendQueue } from "./send-queue.ts";
import { ShownRooms } from "./shown-rooms.ts";

export type { QueuedMessage } from "./queued-message.ts";

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
  readonly #shown: ShownRooms;
  /** How often entries of a room were missed. */
  readonly #gaps = new Map<number, number>();
  readonly #journal = new Journal();
  #listRead = false;
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
    this.#shown = new ShownRooms({
      readRoom: (roomId) => this.#read(roomId, () => this.#readOne(roomId)),
      readList: () => this.#readList(),
      readLater: (roomId) => this.#readRoom(roomId),
      isShown: (roomId) => this.#stopped || this.get().rooms[roomId] !== undefined,
      isListRead: () => this.#listRead,
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
    const { me } = this.get();
    const [stop, rest, hurry] = [() => this.stop(), () => this.#rest(), () => this.#hurry()];
    this.#ends.push(
      this.#queue.messages.subscribe((waiting) => this.#set(withPending(this.get(), waiting))),
      ...followPerson(this.#client, me, { stop, rest, hurry }),
      this.#client.subscribe(topics.user(me), {
        entry: (entry) => this.#entry(entry),
        live: once(this.#readRooms),
        limited: this.#readRooms,
      }),
    );
    this.#client.start();
    // Without what the storage has when it cannot be read, which is told elsewhere: it is read again later.
    await this.#queue.start().catch(this.#readOutbox);
  }

  /**
   * Ends everything of this store for good, as happens when somebody else signs in, in whichever tab: what is asked of it
   * then, it refuses (`stopped`). The client stays as it is; what waits to be sent stays in the storage. While the client
   * is stopped, the store rests, and goes on with it.
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
    this.#requireRunning();
    await this.#shown.open(roomId);
  }

  /** Nobody looks at its messages any more. They stay, but are not read anew. */
  closeRoom(roomId: number): void {
    this.#shown.close(roomId);
  }

  /**
   * More messages: `{ before }` the first one that is known, `{ around }` one that is linked to. Throws `not_member`
   * for a room that is not among the person's.
   */
  async loadMessages(roomId: number, query: MessagesQuery = {}): Promise<void> {
    this.#requireRunning();
    const isMember = (): boolean => this.#stopped || this.get().rooms[roomId] !== undefined;
    this.#shown.visit(roomId);
    await this.#read(roomId, async () => ({
      kind: "page",
      roomId,
      page: await this.#client.chat.messages(roomId, query),
    }));
    if (isMember()) return;
    if (!this.#shown.has(roomId)) this.#shown.left(roomId);
    throw clientError("not_member");
  }

  /** All members of the room, from now on. Of a room with very many they stay unknown. Throws as `openRoom` does. */
  async loadMembers(roomId: number): Promise<void> {
    this.#requireRunning();
    await this.#shown.list(roomId);
  }

  /** Resolves with the message's `client_msg_id` when it is stored on this device; it shows as pending at once. */
  async send(roomId: number, content: string, replyTo?: string): Promise<string> {
    this.#requireRunning();
    return this.#queue.send({ roomId, content, ...(replyTo === undefined ? {} : { replyTo }) });
  }

  /** Sends a failed message once more, as a new one. */
  async resend(clientMsgId: string): Promise<string> {
    this.#requireRunning();
    return this.#queue.resend(clientMsgId);
  }

  /** Forgets a message that has not been sent. False when it is on its way. */
  async discard(clientMsgId: string): Promise<boolean> {
    this.#requireRunning();
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

  readonly #readOutbox = (): void => this.#inBackground("outbox", () => this.#queue.start());

  #requireRunning(): void {
    if (this.#stopped) throw clientError("stopped");
  }

  #hurry(): void {
    this.#queue.start().catch(this.#readOutbox);
    this.#queue.hurry();
    this.#errands.hurry();
  }

  /** The client was stopped: nothing is sent or read until it is started. */
  #rest(): void {
    this.#queue.stop();
    this.#errands.pause();
  }

  async #deliver(queued: QueuedMessage, signal: AbortSignal): Promise<() => void> {
    const { room_id } = queued;
    const gaps = this.#gaps.get(room_id);
    const message = await sendOnce(this.#client, queued, signal);
    return () => {
      this.#entry({ type: "message.created", data: { message } });
      // The answer may be older than what was missed meanwhile, and what was missed may speak of it.
      if (gaps !== this.#gaps.get(room_id)) this.#missed(room_id);
    };
  }

  #entry(entry: ChatEntry): void {
    this.#journal.note(entry);
    this.#take(applyEntry(this.get(), entry), entryRoom(entry));
    if (entry.type === "room.joined" || entry.type === "room.left") this.#follow();
    this.#confirmOwn(entryMessage(entry));
  }

  /**
   * One's own message is there, whatever became of the answer: also one that was refused at last, since an earlier
   * attempt, that was given up, may have come through after all.
   */
  #confirmOwn(message: Message | undefined): void {
    if (message?.user_id === this.get().me) this.#queue.confirm(message.client_msg_id);
  }

  #read(scope: Scope, ask: () => Promise<Snapshot>): Promise<Snapshot> {
    return this.#journal.read(scope, ask, (snapshot, since) => {
      this.#take(applySnapshot(this.get(), snapshot, since), scope);
      this.#follow();
      if (!("page" in snapshot)) return;
      for (const message of snapshot.page?.items ?? []) this.#confirmOwn(message);
    });
  }

  /** Entries of the room were missed, or may have been. */
  #missed(roomId: number): void {
    this.#gaps.set(roomId, (this.#gaps.get(roomId) ?? 0) + 1);
    this.#entry(limitedEntry(roomId));
    if (this.#shown.has(roomId)) this.#readRoom(roomId);
    else this.#readRooms();
  }

  #readOne(roomId: number, calls = this.#client.chat): Promise<Snapshot> {
    return readRoom(calls, roomId, this.#shown.wanted(roomId));
  }

  readonly #readRooms = (): void => this.#inBackground("rooms", (calls) => this.#readList(calls));

  async #readList(calls = this.#client.chat): Promise<void> {
    await this.#read("rooms", () => readRooms(calls));
    this.#listRead = true;
  }

  #readRoom(roomId: number): void {
    this.#inBackground(`room ${roomId}`, (calls) => this.#read(roomId, () => this.#readOne(roomId, calls)));
  }

  #inBackground(key: string, work: (calls: ChatCalls) => Promise<unknown>): void {
    this.#errands.run(key, async (signal) => void (await work(chatCallsUntil(signal, this.#client.http))));
  }

  /** What has happened in `scope`. Of rooms that nobody has looked at yet, only the newest messages stay. */
  #take(next: ChatState, scope: Scope | undefined): void {
    const rooms = scope === "rooms" ? Object.keys(next.rooms).map(Number) : [scope ?? 0];
    this.#set(rooms.filter((roomId) => !this.#shown.isVisited(roomId)).reduce(withNewestOnly, next));
  }

  #set(next: ChatState): void {
    if (!this.#stopped) this.#state.set(next);
  }

  /** Subscribes to the rooms that are there, and to no others. */
  #follow(): void {
    if (this.#stopped) return;
    const { rooms } = this.get();
    for (const roomId of this.#rooms.follow(new Set(Object.keys(rooms).map(Number))))
      this.#shown.left(roomId);
    this.#set(withPending(this.get(), this.#queue.messages.get()));
  }
}
