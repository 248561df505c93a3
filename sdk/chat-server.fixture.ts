import type { MyRoom, Member, Message, MessagesPage, OneRoom, Room, RoomRole } from "../protocol/chat.ts";
import type { ClientFrame, EntryFrame, FrameError, SubscribedTopic } from "../protocol/frames.ts";
import type { ChatEntry, Snapshot } from "./chat-view.ts";
import { type Answered, type Asked, type FakeSocket, problem } from "./world.fixture.ts";

/** A chat server in memory: it decides, keeps a log, and says what a fresh fetch says. As small as it can be and true. */

type StoredRoom = {
  room: Room;
  readonly members: Map<number, Member>;
  readonly marks: Map<number, number>;
  readonly messages: Message[];
};

export type LogEntry = { readonly topic: string; readonly n: number; readonly entry: EntryFrame["entry"] };

export class ChatServer {
  readonly me: number;
  readonly rooms = new Map<number, StoredRoom>();
  readonly log: LogEntry[] = [];
  /** What somebody in front of the server answers to everything instead of it. */
  inFront: Answered | undefined;
  /** What was sent under which id. */
  readonly #sent = new Map<string, Message>();
  readonly #joinedByList: number[] = [];
  #ticks = 0;

  constructor(me: number) {
    this.me = me;
  }

  #time(): string {
    return new Date(1_700_000_000_000 + ++this.#ticks).toISOString();
  }

  #append(topic: string, type: string, data: object): void {
    const n = this.log.length + 1;
    const id = `entry-${n}`;
    // A copy, as over a wire.
    const copy: unknown = JSON.parse(JSON.stringify(data));
    this.log.push({ topic, n, entry: { id, type, time: this.#time(), actor: "user:1", data: copy } });
  }

  create(id: number): void {
    const room: Room = { id, kind: "public", name: `room ${id}`, created_at: this.#time(), last_seq: 0 };
    this.rooms.set(id, { room, members: new Map(), marks: new Map(), messages: [] });
  }

  join(roomId: number, userId: number, role: RoomRole = "member"): void {
    const stored = this.#room(roomId);
    if (stored.members.has(userId)) return;
    const member: Member = {
      user_id: userId,
      username: `u${userId}`,
      name: `U ${userId}`,
      role,
      joined_at: this.#time(),
    };
    stored.members.set(userId, member);
    stored.marks.set(userId, stored.room.last_seq);
    this.#append(`room/${roomId}`, "member.added", { room_id: roomId, member });
    this.#append(`user/${userId}`, "room.joined", { my_room: this.#mine(stored, userId) });
  }

  /** The person becomes a member by asking for the list of rooms, as everybody does of the room for all. */
  joinOnList(roomId: number): void {
    this.#joinedByList.push(roomId);
  }

  leave(roomId: number, userId: number): void {
    if (!this.#room(roomId).members.delete(userId)) return;
    this.#append(`room/${roomId}`, "member.removed", { room_id: roomId, user_id: userId });
    this.#append(`user/${userId}`, "room.left", { room_id: roomId });
  }

  changeRole(roomId: number, userId: number, role: RoomRole): void {
    const { members } = this.#room(roomId);
    const before = members.get(userId);
    if (before === undefined || before.role === role) return;
    const member = { ...before, role };
    members.set(userId, member);
    this.#append(`room/${roomId}`, "member.changed", { room_id: roomId, member });
  }

  rename(roomId: number, name: string): void {
    const stored = this.#room(roomId);
    stored.room = { ...stored.room, name };
    this.#append(`room/${roomId}`, "room.changed", { room: stored.room });
  }

  /** Undefined when the sender is no member. */
  send(roomId: number, userId: number, content: string, clientMsgId: string): Message | undefined {
    const stored = this.#room(roomId);
    const known = this.#sent.get(clientMsgId);
    if (known !== undefined) return stored.messages[known.seq - 1];
    if (!stored.members.has(userId)) return undefined;
    const seq = stored.room.last_seq + 1;
    const message: Message = {
      id: `message-${roomId}-${seq}`,
      room_id: roomId,
      seq,
      user_id: userId,
      username: `u${userId}`,
      content,
      client_msg_id: clientMsgId,
      reply_to: null,
      created_at: this.#time(),
      version: 1,
      edited_at: null,
      deleted_at: null,
    };
    stored.room = { ...stored.room, last_seq: seq };
    stored.messages.push(message);
    stored.marks.set(userId, seq);
    this.#sent.set(clientMsgId, message);
    this.#append(`room/${roomId}`, "message.created", { message });
    return message;
  }

  /** Edits the message, or deletes it and what the log says of it. */
  change(roomId: number, seq: number, content: string | undefined): void {
    const { messages } = this.#room(roomId);
    const before = messages[seq - 1];
    if (before === undefined || before.deleted_at !== null) return;
    const at = this.#time();
    const message =
      content === undefined
        ? { ...before, content: "", version: before.version + 1, deleted_at: at }
        : { ...before, content, version: before.version + 1, edited_at: at };
    messages[seq - 1] = message;
    this.#append(`room/${roomId}`, content === undefined ? "message.deleted" : "message.edited", { message });
    if (content !== undefined) return;
    for (const { entry } of this.log) {
      const { message: said } = entry.data as { readonly message?: Message };
      if (said?.id === message.id && entry.type !== "message.deleted") entry.data = { redacted: true };
    }
  }

  markRead(roomId: number, userId: number, seq: number): ChatEntry["data"] {
    const { marks, room } = this.#room(roomId);
    const before = marks.get(userId) ?? 0;
    const last_read_seq = Math.max(before, Math.min(seq, room.last_seq));
    const state = { room_id: roomId, last_read_seq, unread: room.last_seq - last_read_seq };
    marks.set(userId, last_read_seq);
    if (last_read_seq > before) this.#append(`user/${userId}`, "room.read", state);
    return state;
  }

  #room(roomId: number): StoredRoom {
    const stored = this.rooms.get(roomId);
    if (stored === undefined) throw new Error(`there is no room ${roomId}`);
    return stored;
  }

  #mine({ room, members, marks }: StoredRoom, userId: number): MyRoom {
    const { role = "member", joined_at = "" } = members.get(userId) ?? {};
    const last_read_seq = marks.get(userId) ?? 0;
    const unread = room.last_seq - last_read_seq;
    return { room, role, last_read_seq, unread, joined_at, peer: null };
  }

  isMember(roomId: number): boolean {
    return this.rooms.get(roomId)?.members.has(this.me) === true;
  }

  // What a fresh fetch says.

  myRooms(): MyRoom[] {
    return [...this.rooms.values()]
      .filter(({ members }) => members.has(this.me))
      .map((stored) => this.#mine(stored, this.me));
  }

  oneRoom(roomId: number): OneRoom {
    const stored = this.#room(roomId);
    return { room: stored.room, mine: stored.members.has(this.me) ? this.#mine(stored, this.me) : null };
  }

  page(roomId: number): MessagesPage {
    const { messages, room, marks } = this.#room(roomId);
    return {
      items: [...messages],
      before: null,
      after: null,
      last_seq: room.last_seq,
      last_read_seq: marks.get(this.me) ?? null,
    };
  }

  members(roomId: number): Member[] {
    return [...this.#room(roomId).members.values()].sort((a, b) => a.user_id - b.user_id);
  }

  /** All of a room. */
  snapshot(roomId: number): Snapshot {
    const { mine } = this.oneRoom(roomId);
    if (mine === null) return { kind: "gone", roomId };
    return { kind: "room", mine, page: this.page(roomId), members: this.members(roomId) };
  }

  /** HTTP, as far as chat needs it. */
  answer({ method, path, body }: Asked): Answered {
    if (this.inFront !== undefined) return this.inFront;
    const [, id = "", rest = ""] = /^\/api\/v1\/rooms(?:\/(\d+))?(.*?)(?:\?.*)?$/.exec(path) ?? [];
    if (path === "/api/v1/me") return { status: 200, body: { id: this.me, username: `u${this.me}` } };
    if (id === "") {
      for (const roomId of this.#joinedByList.splice(0)) this.join(roomId, this.me);
      return { status: 200, body: { rooms: this.myRooms(), next_cursor: null } };
    }
    const roomId = Number(id);
    if (!this.rooms.has(roomId)) return problem(404, "not_found");
    const key = `${method} ${rest}`;
    if (key === "POST /messages") return this.#answerSend(roomId, body);
    if (!this.isMember(roomId) && rest !== "") return problem(403, "forbidden");
    if (key === "GET ") return { status: 200, body: this.oneRoom(roomId) };
    if (key === "GET /messages") return { status: 200, body: this.page(roomId) };
    if (key === "GET /members")
      return { status: 200, body: { members: this.members(roomId), next_cursor: null } };
    if (key === "PUT /read") {
      return { status: 200, body: this.markRead(roomId, this.me, (body as { readonly seq: number }).seq) };
    }
    return problem(404, "not_found");
  }

  #answerSend(roomId: number, body: unknown): Answered {
    const { content, client_msg_id } = body as { readonly content: string; readonly client_msg_id: string };
    if (content === "refused") return problem(400, "invalid_body");
    const message = this.send(roomId, this.me, content, client_msg_id);
    return message === undefined ? problem(403, "forbidden") : { status: 201, body: message };
  }
}

/** The server's side of one socket. Nothing happens by itself: the test says when. */
export class ChatSocket {
  readonly socket: FakeSocket;
  readonly #server: ChatServer;
  /** Entries that may be missed; after more of them a resume is limited. */
  readonly #gapMax: number;
  /** Topic -> the last entry that was sent. */
  readonly #topics = new Map<string, number>();
  #read = 0;

  constructor(server: ChatServer, socket: FakeSocket, gapMax: number) {
    this.#server = server;
    this.socket = socket;
    this.#gapMax = gapMax;
  }

  /** Handles the client's frames that were not handled yet, and answers how many there were. */
  handle(): number {
    const before = this.#read;
    while (this.#read < this.socket.sent.length && !this.socket.over) {
      const frame = this.socket.sent[this.#read++];
      if (frame !== undefined) this.#frame(frame);
    }
    return this.#read - before;
  }

  /** Topics for which entries wait. */
  waiting(): readonly string[] {
    return [...this.#topics.keys()].filter((topic) => this.#next(topic) !== undefined);
  }

  /** Sends the next entry of a topic. */
  push(topic: string): void {
    const next = this.#next(topic);
    if (next === undefined) return;
    const { n, entry } = next;
    this.#topics.set(topic, n);
    this.socket.receive({ type: "entry", topic, position: String(n), entry });
    const { user_id } = entry.data as { readonly user_id?: number };
    if (entry.type === "member.removed" && user_id === this.#server.me) {
      this.#topics.delete(topic);
      this.socket.receive({ type: "removed", topic, position: String(n) });
    }
  }

  /** The client was too slow: what waits for this topic does not come. */
  limit(topic: string): void {
    if (!this.#topics.has(topic)) return;
    const position = this.#head(topic);
    this.#topics.set(topic, position);
    this.socket.receive({ type: "limited", topic, position: String(position) });
  }

  #next(topic: string): LogEntry | undefined {
    const at = this.#topics.get(topic) ?? Number.POSITIVE_INFINITY;
    return this.#server.log.find((entry) => entry.topic === topic && entry.n > at);
  }

  #head(topic: string): number {
    return this.#server.log.findLast((entry) => entry.topic === topic)?.n ?? 0;
  }

  #frame(frame: ClientFrame): void {
    if (frame.type === "subscribe") {
      this.#subscribe(frame.id, Object.fromEntries(frame.topics.map((topic) => [topic, undefined])));
    } else if (frame.type === "resume") this.#subscribe(frame.id, frame.positions);
    else if (frame.type === "unsubscribe") {
      for (const topic of frame.topics) this.#topics.delete(topic);
      this.socket.receive({ type: "unsubscribed", id: frame.id, topics: frame.topics });
    } else if (frame.type === "ping") {
      this.socket.receive({ type: "pong", server_time: "2026-01-01T00:00:00.000Z" });
    } else if (frame.type === "request") this.#request(frame.id, frame.params);
  }

  #subscribe(id: number, wanted: Readonly<Record<string, string | undefined>>): void {
    const topics: Record<string, SubscribedTopic> = {};
    const refused: Record<string, FrameError> = {};
    for (const [topic, position] of Object.entries(wanted)) {
      const roomId = Number(/^room\/(\d+)$/.exec(topic)?.[1] ?? 0);
      if (this.#topics.has(topic)) refused[topic] = { code: "conflict", title: "Twice", retry: "no" };
      else if (roomId > 0 && !this.#server.isMember(roomId)) {
        refused[topic] = { code: "forbidden", title: "No", retry: "no" };
      } else topics[topic] = this.#begin(topic, position);
    }
    this.socket.receive({ type: "subscribed", id, topics, refused });
  }

  #begin(topic: string, position: string | undefined): SubscribedTopic {
    const head = this.#head(topic);
    const from = position === undefined ? head : Number(position);
    const missed = this.#server.log.filter((entry) => entry.topic === topic && entry.n > from).length;
    const limited = missed > this.#gapMax;
    this.#topics.set(topic, limited ? head : from);
    return limited ? { position: String(head), limited: true } : { position: String(Math.max(head, from)) };
  }

  #request(id: number, params: Record<string, unknown>): void {
    const { room_id, content, client_msg_id } = params as {
      readonly room_id: number;
      readonly content: string;
      readonly client_msg_id: string;
    };
    const refuse = (code: FrameError["code"]): void => {
      this.socket.receive({ type: "error", id, error: { code, title: code, retry: "no" } });
    };
    if (content === "refused") return refuse("invalid_body");
    const message = this.#server.send(room_id, this.#server.me, content, client_msg_id);
    if (message === undefined) return refuse("forbidden");
    this.socket.receive({ type: "answer", id, data: message });
  }
}
