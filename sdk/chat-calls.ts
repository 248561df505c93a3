import type {
  ChatPageQuery,
  EditMessage,
  Member,
  MemberList,
  MembersPage,
  Message,
  MessageWithRevisions,
  MessagesPage,
  MessagesQuery,
  MyRoom,
  MyRoomsPage,
  NewMessage,
  NewRoom,
  OneRoom,
  ReadState,
  Room,
  RoomRole,
  RoomsPage,
} from "../protocol/chat.ts";
import type { Http } from "./http.ts";

/** Rooms and messages over HTTP. */
export type ChatCalls = {
  /** A page of the caller's rooms. */
  rooms(query?: ChatPageQuery): Promise<MyRoomsPage>;
  publicRooms(query?: ChatPageQuery): Promise<RoomsPage>;
  room(roomId: number): Promise<OneRoom>;
  createRoom(room: NewRoom): Promise<Room>;
  /** The room of the caller and somebody else: always the same one. */
  directRoom(userId: number): Promise<MyRoom>;
  renameRoom(roomId: number, name: string): Promise<Room>;
  join(roomId: number): Promise<MyRoom>;
  leave(roomId: number): Promise<void>;
  members(roomId: number, query?: ChatPageQuery): Promise<MembersPage>;
  addMembers(roomId: number, userIds: readonly number[]): Promise<readonly Member[]>;
  changeRole(roomId: number, userId: number, role: RoomRole): Promise<Member>;
  removeMember(roomId: number, userId: number): Promise<void>;
  messages(roomId: number, query?: MessagesQuery): Promise<MessagesPage>;
  message(roomId: number, messageId: string): Promise<MessageWithRevisions>;
  /** Sent again with the same `client_msg_id` it is the same message. */
  send(roomId: number, message: NewMessage, options?: SendOptions): Promise<Message>;
  edit(roomId: number, messageId: string, edit: EditMessage): Promise<Message>;
  deleteMessage(roomId: number, messageId: string): Promise<Message>;
  /** Everything up to `seq` is read. */
  markRead(roomId: number, seq: number): Promise<ReadState>;
};

export type SendOptions = {
  /** Times that it is sent at most. */
  readonly attempts?: number;
  readonly signal?: AbortSignal;
};

export function chatCalls(http: Http): ChatCalls {
  return { ...roomCalls(http), ...memberCalls(http), ...messageCalls(http) };
}

/** The same, until the signal is aborted. */
export function chatCallsUntil(signal: AbortSignal, http: Http): ChatCalls {
  return chatCalls({ call: (item) => http.call({ ...item, signal }) });
}

const roomPath = (roomId: number): string => `/api/v1/rooms/${roomId}`;

function roomCalls(
  http: Http,
): Pick<
  ChatCalls,
  | "rooms"
  | "publicRooms"
  | "room"
  | "createRoom"
  | "directRoom"
  | "renameRoom"
  | "join"
  | "leave"
  | "markRead"
> {
  const get = { method: "GET", repeatable: true } as const;
  const post = { method: "POST", repeatable: true } as const;
  return {
    rooms: (query) => http.call({ ...get, path: "/api/v1/rooms", query }),
    publicRooms: (query) => http.call({ ...get, path: "/api/v1/rooms/public", query }),
    room: (roomId) => http.call({ ...get, path: roomPath(roomId) }),
    // Done twice it would be two rooms.
    createRoom: (body) => http.call({ ...post, path: "/api/v1/rooms", body, repeatable: false }),
    directRoom: (userId) => http.call({ ...post, path: "/api/v1/rooms/direct", body: { user_id: userId } }),
    renameRoom: (roomId, name) =>
      http.call({ method: "PATCH", path: roomPath(roomId), body: { name }, repeatable: true }),
    join: (roomId) => http.call({ ...post, path: `${roomPath(roomId)}/join` }),
    // Who has left already is told that there is nothing to leave.
    leave: (roomId) => http.call({ ...post, path: `${roomPath(roomId)}/leave`, repeatable: false }),
    markRead: (roomId, seq) =>
      http.call({ method: "PUT", path: `${roomPath(roomId)}/read`, body: { seq }, repeatable: true }),
  };
}

function memberCalls(http: Http): Pick<ChatCalls, "members" | "addMembers" | "changeRole" | "removeMember"> {
  const path = (roomId: number): string => `${roomPath(roomId)}/members`;
  return {
    members: (roomId, query) => http.call({ method: "GET", path: path(roomId), query, repeatable: true }),
    addMembers: async (roomId, userIds) => {
      const body = { user_ids: userIds };
      const call = { method: "POST", path: path(roomId), body, repeatable: true } as const;
      return (await http.call<MemberList>(call)).members;
    },
    changeRole: (roomId, userId, role) =>
      http.call({ method: "PUT", path: `${path(roomId)}/${userId}`, body: { role }, repeatable: true }),
    removeMember: (roomId, userId) =>
      http.call({ method: "DELETE", path: `${path(roomId)}/${userId}`, repeatable: false }),
  };
}

function messageCalls(
  http: Http,
): Pick<ChatCalls, "messages" | "message" | "send" | "edit" | "deleteMessage"> {
  const path = (roomId: number): string => `${roomPath(roomId)}/messages`;
  return {
    messages: (roomId, query) => http.call({ method: "GET", path: path(roomId), query, repeatable: true }),
    message: (roomId, messageId) =>
      http.call({ method: "GET", path: `${path(roomId)}/${messageId}`, repeatable: true }),
    send: (roomId, body, options) =>
      http.call({ method: "POST", path: path(roomId), body, repeatable: true, ...options }),
    edit: (roomId, messageId, body) =>
      // With a version, the second time would be refused because of the first.
      http.call({ method: "PATCH", path: `${path(roomId)}/${messageId}`, body, repeatable: false }),
    deleteMessage: (roomId, messageId) =>
      http.call({ method: "DELETE", path: `${path(roomId)}/${messageId}`, repeatable: true }),
  };
}
