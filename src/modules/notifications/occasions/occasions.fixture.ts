import type { NotificationCreatedData } from "../../../../protocol/notifications.ts";
import type { Message } from "../../../../protocol/chat.ts";
import { uuidv7 } from "../../../../protocol/ids.ts";
import { topics } from "../../../../protocol/topics.ts";
import { manualClock, testLog } from "../../../../test/harness.ts";
import type { UserActor } from "../../../access/actor.ts";
import type { Consumer } from "../../../eventlog/consumer.ts";
import { type Entry, type EventLog, parseData, redactedData } from "../../../eventlog/eventlog.ts";
import type { Db, Tx } from "../../../lib/db.ts";
import type { Logger } from "../../../lib/logger.ts";
import { type Chat, openChat } from "../../chat/chat.fixture.ts";
import { createRoom } from "../../chat/create-room.ts";
import { deleteMessage } from "../../chat/delete-message.ts";
import { editMessage } from "../../chat/edit-message.ts";
import { followOccasions } from "./follow.ts";
import { followRedactions } from "../follow-redactions.ts";
import { notingLocks } from "../notifications.fixture.ts";
import type { OccasionRow } from "./occasions.ts";
import { People } from "../people.ts";
import { createPostgresStore } from "../postgres-store.ts";
import type { NotificationStore } from "../store.ts";

/** Rooms, and what people are told of them; the consumers run when the test says so. */
export type OccasionStage = Omit<Chat, "say" | "clock"> & {
  readonly clock: ReturnType<typeof manualClock>;
  readonly store: NotificationStore;
  readonly room: (owner: UserActor, members?: readonly UserActor[]) => Promise<number>;
  readonly say: (actor: UserActor, roomId: number, content: string, replyTo?: Message) => Promise<Message>;
  readonly edit: (actor: UserActor, message: Message, content: string) => Promise<Message>;
  readonly remove: (actor: UserActor, message: Message) => Promise<Message>;
  /** What the log holds that was not taken yet. */
  readonly take: () => Promise<readonly Entry[]>;
  /** Hands entries over as the runtime does: in one transaction, with `also` in it at its end. */
  readonly follow: (entries: readonly Entry[], also?: (tx: Tx) => Promise<void>) => Promise<void>;
  /** Takes, hands over, and lets the module follow what was erased, until nothing is new. */
  readonly settle: () => Promise<void>;
  /** What a person was told and the log still tells, in order. */
  readonly told: (person: UserActor) => Promise<readonly NotificationCreatedData[]>;
  readonly wordsTold: (person: UserActor) => Promise<readonly string[]>;
  /** Tables, with how many of their rows hold these words. */
  readonly traces: (words: string) => Promise<Readonly<Record<string, number>>>;
};

export async function openOccasions(
  options: {
    readonly redact?: EventLog["redact"];
    readonly rows?: readonly OccasionRow[];
    /** Whose rows are locked by what is handed over, in order. */
    readonly locks?: string[];
    readonly log?: Logger;
  } = {},
): Promise<OccasionStage> {
  const clock = manualClock();
  const chat = await openChat({ clock });
  const { db, eventlog } = chat;
  const people = new People();
  const followed: Pick<EventLog, "appendIn" | "redact"> = {
    redact: (targets, reason) => options.redact?.(targets, reason) ?? eventlog.redact(targets, reason),
    appendIn: (tx, entries) => eventlog.appendIn(tx, entries),
  };
  const follow = handled(
    db,
    followOccasions({ ...chat, log: options.log ?? chat.log, eventlog: followed, people }, options.rows),
    options.locks,
  );
  const followErased = handled(db, followRedactions({ eventlog, clock, people }));
  const seen = new Set<string>();
  const take: OccasionStage["take"] = async () => {
    const fresh = (await chat.entries()).filter(({ id }) => !seen.has(id));
    for (const { id } of fresh) seen.add(id);
    return fresh;
  };
  const told: OccasionStage["told"] = async ({ id }) => {
    const own = await chat.entries(topics.user(id));
    return own
      .filter(({ type, data }) => type === "notification.created" && data !== redactedData)
      .map((entry) => parseData<NotificationCreatedData>(entry));
  };
  return {
    ...chat,
    clock,
    store: createPostgresStore({ db, eventlog, clock, log: testLog }, people),
    ...actionsIn(chat),
    take,
    follow,
    settle: async () => {
      for (let entries = await take(); entries.length > 0; entries = await take()) {
        await follow(entries);
        await followErased(entries);
      }
    },
    told,
    wordsTold: async (person) => (await told(person)).map(({ notification }) => notification.message),
    traces: (words) => tracesIn(db, words),
  };
}

/** What people do in rooms, in as few words as a test wants. */
function actionsIn(chat: Chat): Pick<OccasionStage, "room" | "say" | "edit" | "remove"> {
  return {
    room: async (owner, members = []) => {
      const wish = { kind: "private" as const, name: "the room", member_ids: members.map(({ id }) => id) };
      return (await createRoom(chat, owner, wish)).id;
    },
    say: async (actor, room_id, content, replyTo) => {
      const reply = replyTo === undefined ? {} : { reply_to: replyTo.id };
      return (await chat.send(actor, { room_id, client_msg_id: uuidv7(), content, ...reply })).message;
    },
    edit: (actor, { room_id: roomId, id: messageId }, content) =>
      editMessage(chat, actor, { roomId, messageId, content, version: undefined }),
    remove: (actor, { room_id: roomId, id: messageId }) => deleteMessage(chat, actor, { roomId, messageId }),
  };
}

/** Hands entries over as the runtime does, which keeps tombstones to itself. */
function handled(db: Db, consumer: Consumer, locks: string[] = []): OccasionStage["follow"] {
  const { signal } = new AbortController();
  return async (entries, also) => {
    const wanted = entries.filter(({ type, data }) => consumer.types.includes(type) && data !== redactedData);
    if (wanted.length === 0) return;
    await db.transaction(async (tx) => {
      await consumer.handle(wanted, notingLocks(tx, locks), signal);
      await also?.(tx);
    });
  };
}

export async function tracesIn(db: Db, words: string): Promise<Readonly<Record<string, number>>> {
  const { rows } = await db.query<{ name: string }>(
    "select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
  );
  const found: Record<string, number> = {};
  for (const { name } of rows) {
    const { rowCount } = await db.query(`select from ${name} t where t::text like $1`, [`%${words}%`]);
    if (rowCount > 0) found[name] = rowCount;
  }
  return found;
}
