import { Type } from "typebox";
import { Username } from "./accounts.ts";
import { limits } from "./limits.ts";
import { namePattern, nameRule } from "./names.ts";

/** Rooms: who is in them, and what they write. */

const strict = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const time = Type.String({ format: "date-time" });
const uuid = Type.String({
  format: "uuid",
  pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
  "x-detail": "a UUID in lower case",
});
/** Place of a message in its room: 1, 2, 3 without a gap; 0 is before the first. */
const seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const roomKinds = ["public", "private", "direct"] as const;
export type RoomKind = (typeof roomKinds)[number];
const Kind = Type.Union(roomKinds.map((kind) => Type.Literal(kind)));

/** An owner rules the room, a moderator its members and messages. */
export const roomRoles = ["owner", "moderator", "member"] as const;
export type RoomRole = (typeof roomRoles)[number];
const Role = Type.Union(roomRoles.map((role) => Type.Literal(role)));

const roomNameRule = nameRule(limits.roomNameLength);
const RoomName = Type.String({
  pattern: namePattern,
  "x-text": { min: 1, max: limits.roomNameLength },
  "x-detail": roomNameRule,
  description: roomNameRule,
});
const Content = Type.String({
  "x-text": { min: 1, max: limits.messageTextLength },
  description: `1 to ${limits.messageTextLength} characters (Unicode code points) after the white space around it is removed; no NUL, no lone surrogate`,
});

/**
 * The room that seed 002 speaks of. It exists from the start and is public. Whoever is signed in may read it, becomes a
 * member with the first use, and stays one.
 */
export const generalRoomName = "general";
export const generalRoomId = 1;

export const Room = Type.Object(
  {
    id,
    kind: Kind,
    name: Type.Union([Type.String(), Type.Null()], { description: "null in a direct room" }),
    created_at: time,
    last_seq: seq,
  },
  strict,
);
export type Room = { id: number; kind: RoomKind; name: string | null; created_at: string; last_seq: number };

/** What somebody wants to be called, as it was when this was read or told. */
const name = Type.String({ description: "the display name" });
const Peer = Type.Object({ user_id: id, username: Username, name }, strict);

/**
 * A room as one of its members sees it. `unread` is `last_seq - last_read_seq`, always. Who sends a message has read up to
 * it: no entry says so beside the message itself.
 */
export const MyRoom = Type.Object(
  {
    room: Room,
    role: Role,
    last_read_seq: seq,
    unread: seq,
    joined_at: time,
    peer: Type.Union([Peer, Type.Null()], { description: "the other one of a direct room; null elsewhere" }),
  },
  strict,
);
export type MyRoom = {
  room: Room;
  role: RoomRole;
  last_read_seq: number;
  unread: number;
  joined_at: string;
  peer: { user_id: number; username: string; name: string } | null;
};

/** A room, and what it is to the one who asks: null for who is not a member. */
export const OneRoom = Type.Object({ room: Room, mine: Type.Union([MyRoom, Type.Null()]) }, strict);
export type OneRoom = { room: Room; mine: MyRoom | null };

export const Member = Type.Object(
  { user_id: id, username: Username, name, role: Role, joined_at: time },
  strict,
);
export type Member = { user_id: number; username: string; name: string; role: RoomRole; joined_at: string };

/** A message. One that was deleted keeps its place: `content` is empty then, and `deleted_at` is set. */
export const Message = Type.Object(
  {
    id: uuid,
    room_id: id,
    seq,
    user_id: id,
    username: Username,
    content: Type.String(),
    client_msg_id: uuid,
    reply_to: Type.Union([uuid, Type.Null()]),
    created_at: time,
    version: Type.Integer({ minimum: 1, description: "grows with each edit and with the deletion" }),
    edited_at: Type.Union([time, Type.Null()]),
    deleted_at: Type.Union([time, Type.Null()]),
  },
  strict,
);
export type Message = {
  id: string;
  room_id: number;
  seq: number;
  user_id: number;
  username: string;
  content: string;
  client_msg_id: string;
  reply_to: string | null;
  created_at: string;
  version: number;
  edited_at: string | null;
  deleted_at: string | null;
};

export const NewRoom = Type.Object(
  {
    kind: Type.Union([Type.Literal("public"), Type.Literal("private")]),
    name: RoomName,
    member_ids: Type.Optional(Type.Array(id, { maxItems: limits.membersPerRequest })),
  },
  strict,
);
export type NewRoom = { kind: "public" | "private"; name: string; member_ids?: number[] };

/** Body of `PATCH /api/v1/rooms/:room_id`. */
export const RenameRoom = Type.Object({ name: RoomName }, strict);
export type RenameRoom = { name: string };

/** Body of `POST /api/v1/rooms/direct`: the same two people always get the same room. */
export const DirectRoom = Type.Object({ user_id: id }, strict);
export type DirectRoom = { user_id: number };

/** Body of `POST /api/v1/rooms/:room_id/messages`. `client_msg_id` is the sender's, for ever: a repeat is the same message. */
export const NewMessage = Type.Object(
  { client_msg_id: uuid, content: Content, reply_to: Type.Optional(uuid) },
  strict,
);
export type NewMessage = { client_msg_id: string; content: string; reply_to?: string };

export const EditMessage = Type.Object(
  {
    content: Content,
    version: Type.Optional(
      Type.Integer({ minimum: 1, description: "refuse unless the message has this version" }),
    ),
  },
  strict,
);
export type EditMessage = { content: string; version?: number };

/** The words of a message before an edit, for those who may delete it. */
export const MessageRevision = Type.Object(
  { version: Type.Integer({ minimum: 1 }), content: Type.String(), written_at: time },
  strict,
);
export type MessageRevision = { version: number; content: string; written_at: string };
export const MessageWithRevisions = Type.Object(
  {
    message: Message,
    revisions: Type.Union([Type.Array(MessageRevision), Type.Null()], {
      description: "what it said before its edits, the first version first; null for who may not see that",
    }),
  },
  strict,
);
export type MessageWithRevisions = { message: Message; revisions: MessageRevision[] | null };

/** Which messages: at most one of `before`, `after`, `around` (each a `seq`) and `anchor`; without one, the newest. */
export const MessagesQuery = Type.Object(
  {
    before: Type.Optional(seq),
    after: Type.Optional(seq),
    around: Type.Optional(seq),
    anchor: Type.Optional(Type.Literal("first_unread")),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
  },
  strict,
);
export type MessagesQuery = {
  before?: number;
  after?: number;
  around?: number;
  anchor?: "first_unread";
  limit?: number;
};

/** Messages in the order of `seq`. `before` and `after` are what to ask for next in each direction; null at the end. */
export const MessagesPage = Type.Object(
  {
    items: Type.Array(Message),
    before: Type.Union([seq, Type.Null()]),
    after: Type.Union([seq, Type.Null()]),
    last_seq: seq,
    last_read_seq: Type.Union([seq, Type.Null()], { description: "null for who is not a member" }),
  },
  strict,
);
export type MessagesPage = {
  items: Message[];
  before: number | null;
  after: number | null;
  last_seq: number;
  last_read_seq: number | null;
};

/** Body of `PUT /api/v1/rooms/:room_id/read`: everything up to here is read. A mark never moves back. */
export const ReadMark = Type.Object({ seq }, strict);
export type ReadMark = { seq: number };
export const ReadState = Type.Object({ room_id: id, last_read_seq: seq, unread: seq }, strict);
export type ReadState = { room_id: number; last_read_seq: number; unread: number };

export const ChangeMember = Type.Object({ role: Role }, strict);
export type ChangeMember = { role: RoomRole };

/** Body of `POST /api/v1/rooms/:room_id/members`. Those who are members already stay what they are. */
export const AddMembers = Type.Object(
  { user_ids: Type.Array(id, { minItems: 1, maxItems: limits.membersPerRequest }) },
  strict,
);
export type AddMembers = { user_ids: number[] };
export const MemberList = Type.Object({ members: Type.Array(Member) }, strict);
export type MemberList = { members: Member[] };

const NextCursor = Type.Union([Type.String(), Type.Null()]);
/** Where a list goes on, and how long a page of it is. */
export const ChatPageQuery = Type.Object(
  {
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
  },
  strict,
);
export type ChatPageQuery = { cursor?: string; limit?: number };
export const MyRoomsPage = Type.Object({ rooms: Type.Array(MyRoom), next_cursor: NextCursor }, strict);
export type MyRoomsPage = { rooms: MyRoom[]; next_cursor: string | null };
export const RoomsPage = Type.Object({ rooms: Type.Array(Room), next_cursor: NextCursor }, strict);
export type RoomsPage = { rooms: Room[]; next_cursor: string | null };
export const MembersPage = Type.Object({ members: Type.Array(Member), next_cursor: NextCursor }, strict);
export type MembersPage = { members: Member[]; next_cursor: string | null };

/** An answer without a body. */
export const Nothing = Type.Null({ description: "no body" });

export const RoomParams = Type.Object({ room_id: id }, strict);
export type RoomParams = Type.Static<typeof RoomParams>;
export const MemberParams = Type.Object({ room_id: id, user_id: id }, strict);
export type MemberParams = Type.Static<typeof MemberParams>;
export const MessageParams = Type.Object({ room_id: id, message_id: uuid }, strict);
export type MessageParams = Type.Static<typeof MessageParams>;

/** A message as the seed's `/api/v1/messages` shows one: `id` is its `seq` in the room "general". */
export const SeedMessage = Type.Object(
  { id: seq, user_id: id, username: Username, content: Type.String(), created_at: time },
  strict,
);
export type SeedMessage = {
  id: number;
  user_id: number;
  username: string;
  content: string;
  created_at: string;
};

export const SeedMessages = Type.Array(SeedMessage);

/** The seed's way to page: the newest `limit` messages after the newest `offset` of them. */
export const SeedMessagesQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
    offset: Type.Optional(seq),
  },
  strict,
);
export type SeedMessagesQuery = Type.Static<typeof SeedMessagesQuery>;

/** Body of the seed's `POST /api/v1/messages` and its WebSocket frame; a sender that is not the caller is refused. */
export const SeedNewMessage = Type.Object(
  {
    user_id: Type.Optional(id),
    username: Type.Optional(Type.String({ maxLength: 64 })),
    content: Content,
    client_msg_id: Type.Optional(uuid),
  },
  strict,
);
export type SeedNewMessage = { user_id?: number; username?: string; content: string; client_msg_id?: string };

/** Requests over the socket: `message.send` answers the message, `read.mark` the state, `typing.set` an empty object. */
export const SendParams = Type.Object({ room_id: id, ...NewMessage.properties }, strict);
export type SendParams = { room_id: number } & NewMessage;
export const ReadParams = Type.Object({ room_id: id, seq }, strict);
export type ReadParams = { room_id: number; seq: number };
export const TypingParams = Type.Object({ room_id: id, on: Type.Boolean() }, strict);
export type TypingParams = { room_id: number; on: boolean };
export const TypingAnswer = Type.Object({}, strict);

/** Data of the signal `typing` of the topic `room/ID`; its key is the person's id. Who is silent for 6 s has stopped. */
export const TypingData = Type.Object({ user_id: id, username: Username, on: Type.Boolean() }, strict);
export type TypingData = { user_id: number; username: string; on: boolean };

/** Entry types of the topic `room/ID`. */
export const roomEntries = {
  "message.created": Type.Object(
    {
      message: Message,
      reply_to_user_id: Type.Optional(
        Type.Union([id, Type.Null()], {
          description:
            "who wrote the message that it answers; null if it answers none, missing in old entries",
        }),
      ),
    },
    strict,
  ),
  "message.edited": Type.Object({ message: Message }, strict),
  "message.deleted": Type.Object({ message: Message }, strict),
  "member.added": Type.Object({ room_id: id, member: Member }, strict),
  "member.changed": Type.Object({ room_id: id, member: Member }, strict),
  "member.removed": Type.Object({ room_id: id, user_id: id }, strict),
  "room.changed": Type.Object({ room: Room }, strict),
} as const;

/** Entry types of the topic `user/ID` that speak of rooms. */
export const userRoomEntries = {
  "room.joined": Type.Object({ my_room: MyRoom }, strict),
  "room.left": Type.Object({ room_id: id }, strict),
  "room.read": ReadState,
} as const;

export type MessageEntryData = { message: Message };
export type MessageCreatedData = MessageEntryData & { reply_to_user_id?: number | null };
export type MemberEntryData = { room_id: number; member: Member };
export type MemberRemovedData = { room_id: number; user_id: number };
export type RoomChangedData = { room: Room };
export type RoomJoinedData = { my_room: MyRoom };
export type RoomLeftData = { room_id: number };
