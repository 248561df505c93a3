import {
  ChatPageQuery,
  DirectRoom,
  MyRoom,
  MyRoomsPage,
  NewRoom,
  Nothing,
  OneRoom,
  ReadMark,
  ReadState,
  RenameRoom,
  Room,
  RoomParams,
  RoomsPage,
} from "../../../protocol/chat.ts";
import { type Actor, personOf } from "../../access/actor.ts";
import type { Deps, Route, RouteRequest } from "../../deps.ts";
import { type AddingDeps, createRoom } from "./create-room.ts";
import { joinRoom, leaveRoom } from "./join-room.ts";
import { markRead } from "./mark-read.ts";
import { openDirect } from "./open-direct.ts";
import { listMyRooms, listPublicRooms, showRoom } from "./queries.ts";
import { renameRoom } from "./rename-room.ts";

export type RouteDeps = AddingDeps & Pick<Deps, "log">;

/** For people. */
export const forPeople = { scope: "person", tag: "chat" } as const;
/** For people, and for programs that manage rooms. */
export const forManagers = { ...forPeople, programScope: "chat:manage" } as const;

/** Who asks. Routes with a scope have an actor. */
export function actorOf({ actor }: Pick<RouteRequest, "actor">): Actor {
  if (actor === undefined) throw new Error("a route with a scope was called by nobody");
  return actor;
}

export function roomIdOf({ params }: Pick<RouteRequest, "params">): number {
  return (params as RoomParams).room_id;
}

export function roomRoutes(deps: RouteDeps): readonly Route[] {
  return [...listRoutes(deps), ...makeRoutes(deps), ...oneRoomRoutes(deps), ...membershipRoutes(deps)];
}

function listRoutes(deps: RouteDeps): readonly Route[] {
  return [
    {
      ...forPeople,
      method: "GET",
      path: "/api/v1/rooms",
      summary: "List your rooms with what is unread in them",
      query: ChatPageQuery,
      responses: { 200: MyRoomsPage },
      errors: ["invalid_cursor"],
      handler: async ({ actor, query }) => ({
        status: 200,
        body: await listMyRooms(deps, personOf(actor), query as ChatPageQuery),
      }),
    },
    {
      ...forManagers,
      method: "GET",
      path: "/api/v1/rooms/public",
      summary: "List the rooms that anybody may read and join",
      query: ChatPageQuery,
      responses: { 200: RoomsPage },
      errors: ["invalid_cursor"],
      handler: async ({ query }) => ({
        status: 200,
        body: await listPublicRooms(deps.db, query as ChatPageQuery),
      }),
    },
  ];
}

function makeRoutes(deps: RouteDeps): readonly Route[] {
  return [
    {
      ...forManagers,
      method: "POST",
      path: "/api/v1/rooms",
      summary: "Create a room",
      description:
        "Who creates it is its owner. A room that a program creates has none until one is appointed.",
      body: NewRoom,
      responses: { 201: Room },
      errors: ["not_found", "conflict"],
      handler: async (request) => ({
        status: 201,
        body: await createRoom(deps, actorOf(request), request.body as NewRoom),
      }),
    },
    {
      ...forPeople,
      method: "POST",
      path: "/api/v1/rooms/direct",
      summary: "Open the room of yourself and somebody else",
      description: "201 when it was made now, 200 when it was there: two people always get the same room.",
      body: DirectRoom,
      responses: { 200: MyRoom, 201: MyRoom },
      errors: ["not_found", "conflict"],
      handler: async ({ actor, body }) => {
        const { myRoom, created } = await openDirect(deps, personOf(actor), (body as DirectRoom).user_id);
        return { status: created ? 201 : 200, body: myRoom };
      },
    },
  ];
}

function oneRoomRoutes(deps: RouteDeps): readonly Route[] {
  return [
    {
      ...forManagers,
      method: "GET",
      path: "/api/v1/rooms/:room_id",
      summary: "Show a room, and what you are in it",
      params: RoomParams,
      responses: { 200: OneRoom },
      errors: ["not_found"],
      handler: async (request) => ({
        status: 200,
        body: await showRoom(deps.db, actorOf(request), roomIdOf(request)),
      }),
    },
    {
      ...forManagers,
      method: "PATCH",
      path: "/api/v1/rooms/:room_id",
      summary: "Rename a room; an owner's to do",
      params: RoomParams,
      body: RenameRoom,
      responses: { 200: Room },
      errors: ["not_found", "conflict"],
      handler: async (request) => ({
        status: 200,
        body: await renameRoom(deps, actorOf(request), {
          roomId: roomIdOf(request),
          name: (request.body as RenameRoom).name,
        }),
      }),
    },
  ];
}

function membershipRoutes(deps: RouteDeps): readonly Route[] {
  return [
    {
      ...forPeople,
      method: "POST",
      path: "/api/v1/rooms/:room_id/join",
      summary: "Become a member of a public room",
      params: RoomParams,
      responses: { 200: MyRoom },
      errors: ["not_found", "conflict"],
      handler: async (request) => ({
        status: 200,
        body: await joinRoom(deps, personOf(request.actor), roomIdOf(request)),
      }),
    },
    {
      ...forPeople,
      method: "POST",
      path: "/api/v1/rooms/:room_id/leave",
      summary: "Leave a room; the last owner makes somebody else one first",
      params: RoomParams,
      responses: { 204: Nothing },
      errors: ["not_found", "conflict"],
      handler: async (request) => {
        await leaveRoom(deps, personOf(request.actor), roomIdOf(request));
        return { status: 204 };
      },
    },
    {
      ...forPeople,
      method: "PUT",
      path: "/api/v1/rooms/:room_id/read",
      summary: "Mark everything up to a message as read; a mark never moves back",
      params: RoomParams,
      body: ReadMark,
      responses: { 200: ReadState },
      errors: ["not_found"],
      handler: async (request) => ({
        status: 200,
        body: await markRead(deps, personOf(request.actor), {
          roomId: roomIdOf(request),
          seq: (request.body as ReadMark).seq,
        }),
      }),
    },
  ];
}
