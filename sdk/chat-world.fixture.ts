import assert from "node:assert/strict";
import { ChatServer, ChatSocket } from "./chat-server.fixture.ts";
import { type ChatStore, openChat } from "./chat-store.ts";
import type { RoomView } from "./chat-view.ts";
import { type Client, createClient } from "./client.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import {
  type Asked,
  FakeNetwork,
  FakeSockets,
  ManualClock,
  type Told,
  fakeFetch,
  helloFrame,
  settle,
} from "./world.fixture.ts";

/** Of two seconds each. */
const quietRounds = 7;

type Question = { readonly asked: Asked; readonly reply: PromiseWithResolvers<Told>; told: Told | undefined };

/**
 * One client and one chat server, and everything between them in the test's hands: when the server reads a question,
 * when its answer arrives, when each entry is pushed, when connections break.
 */
export class ChatWorld {
  readonly me = 7;
  readonly server = new ChatServer(this.me);
  readonly clock = new ManualClock();
  readonly sockets = new FakeSockets();
  readonly network = new FakeNetwork();
  readonly storage: ClientStorage;
  readonly errors: unknown[] = [];
  readonly storageErrors: unknown[] = [];
  readonly client: Client;
  readonly #gapMax: number;
  #links: ChatSocket[] = [];
  #questions: Question[] = [];

  constructor(options: { readonly gapMax?: number; readonly storage?: ClientStorage } = {}) {
    this.#gapMax = options.gapMax ?? 1_000;
    this.storage = options.storage ?? memoryStorage();
    this.client = createClient({
      url: "http://server",
      credentials: "key",
      storage: this.storage,
      clock: this.clock,
      random: () => 0.5,
      network: this.network,
      webSocket: this.sockets.make,
      fetch: fakeFetch((asked) => {
        const question: Question = { asked, reply: Promise.withResolvers(), told: undefined };
        this.#questions.push(question);
        return question.reply.promise;
      }),
      onError: (error) => this.errors.push(error),
      onStorageError: (error) => this.storageErrors.push(error.code),
    });
  }

  /** Questions over HTTP that wait. */
  get questions(): readonly Asked[] {
    return this.#questions.map(({ asked }) => asked);
  }

  /** The newest connection, if it stands. */
  get link(): ChatSocket | undefined {
    const link = this.#links.at(-1);
    return link?.socket.over === false ? link : undefined;
  }

  /** The server lets the newest socket in. */
  async welcome(): Promise<void> {
    const socket = this.sockets.all.at(-1);
    if (socket === undefined || socket.over || this.link !== undefined) return;
    socket.open();
    await settle();
    socket.receive(helloFrame(this.clock));
    this.#links.push(new ChatSocket(this.server, socket, this.#gapMax));
    await settle();
  }

  /** The server reads the frames that have come; answers how many. */
  async handle(): Promise<number> {
    const handled = this.link?.handle() ?? 0;
    await settle();
    return handled;
  }

  /** Pushes an entry of one of the topics that have any. */
  async push(which: number): Promise<void> {
    const topics = this.link?.waiting() ?? [];
    const topic = topics[which % Math.max(1, topics.length)];
    if (topic !== undefined) this.link?.push(topic);
    await settle();
  }

  /** The server reads a question; its answer is not there yet. */
  serve(which: number): void {
    const unread = this.#questions.filter(({ told }) => told === undefined);
    const question = unread[which % Math.max(1, unread.length)];
    if (question !== undefined) question.told = this.server.answer(question.asked);
  }

  /** An answer that the server has given arrives; or it is lost. */
  async arrive(which: number, lost = false): Promise<void> {
    const ready = this.#questions.filter(({ told }) => told !== undefined);
    const question = ready[which % Math.max(1, ready.length)];
    if (question?.told === undefined) return;
    this.#questions = this.#questions.filter((one) => one !== question);
    question.reply.resolve(lost ? new Error("no network") : question.told);
    await settle();
  }

  async loseConnection(code?: number): Promise<void> {
    this.link?.socket.end(code);
    await settle();
  }

  /** Everything that waits happens, until nothing is left to happen. */
  async calm(): Promise<void> {
    this.network.tell(true);
    // Longer than the longest pause of whoever tries again.
    for (let quiet = 0; quiet < quietRounds;) {
      await settle();
      const before = this.#busy();
      await this.welcome();
      const handled = await this.handle();
      while ((this.link?.waiting() ?? []).length > 0) await this.push(0);
      while (this.#questions.length > 0) {
        this.serve(0);
        await this.arrive(0);
      }
      if (this.link === undefined || this.#busy() !== before || before > 0 || handled > 0) quiet = 0;
      else quiet++;
      // Pauses end, heartbeats are answered.
      await this.clock.pass(2_000);
    }
  }

  #busy(): number {
    return this.#questions.length + (this.link?.waiting() ?? []).length;
  }
}

/** A world with two rooms and an open store. */
export async function opened(
  options: { readonly gapMax?: number; readonly storage?: ClientStorage } = {},
): Promise<{ readonly world: ChatWorld; readonly chat: ChatStore }> {
  const world = new ChatWorld(options);
  for (const id of [1, 2, 3]) {
    world.server.create(id);
    world.server.join(id, 8);
  }
  world.server.join(1, world.me);
  world.server.join(2, world.me);
  world.server.send(2, 8, "before", "before");
  const opening = openChat(world.client);
  await settle();
  world.serve(0);
  await world.arrive(0);
  return { world, chat: await opening };
}

export function roomOf(chat: ChatStore, roomId: number): RoomView {
  const view = chat.get().rooms[roomId];
  assert.ok(view !== undefined, `no room ${roomId}`);
  return view;
}

export const contents = (view: RoomView): readonly string[] => view.messages.map(({ content }) => content);
