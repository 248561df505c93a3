import {
  AddMembers,
  ChangeMember,
  ChatPageQuery,
  Member,
  MemberList,
  MemberParams,
  MembersPage,
  Nothing,
  RoomParams,
} from "../../../protocol/chat.ts";
import { byWhom } from "../../access/actor.ts";
import type { Route, RouteRequest } from "../../deps.ts";
import { addToRoom, changeRole, removeFromRoom } from "./change-members.ts";
import { listMembers } from "./queries.ts";
import { type RouteDeps, actorOf, forManagers, roomIdOf } from "./routes.ts";

const path = "/api/v1/rooms/:room_id/members";

export function memberRoutes(deps: RouteDeps): readonly Route[] {
  return [listRoute(deps), addRoute(deps), changeRoute(deps), removeRoute(deps)];
}

function whichOf({ params }: Pick<RouteRequest, "params">) {
  const { room_id: roomId, user_id: userId } = params as MemberParams;
  return { roomId, userId };
}

function listRoute({ db }: RouteDeps): Route {
  return {
    ...forManagers,
    method: "GET",
    path,
    summary: "List the members of a room",
    params: RoomParams,
    query: ChatPageQuery,
    responses: { 200: MembersPage },
    errors: ["not_found", "invalid_cursor"],
    handler: async (request) => ({
      status: 200,
      body: await listMembers(db, actorOf(request), {
        roomId: roomIdOf(request),
        ...(request.query as ChatPageQuery),
      }),
    }),
  };
}

function addRoute(deps: RouteDeps): Route {
  return {
    ...forManagers,
    method: "POST",
    path,
    summary: "Add members; a moderator's to do",
    description: "Answers with all of them as they are now. Who was a member already stays what they were.",
    params: RoomParams,
    body: AddMembers,
    responses: { 200: MemberList },
    errors: ["not_found", "conflict"],
    handler: async (request) => {
      const roomId = roomIdOf(request);
      const { user_ids: userIds } = request.body as AddMembers;
      const members = await addToRoom(deps, actorOf(request), { roomId, userIds });
      deps.log.info({ ...byWhom(request), room_id: roomId, users: userIds }, "members added");
      return { status: 200, body: { members } };
    },
  };
}

function changeRoute(deps: RouteDeps): Route {
  return {
    ...forManagers,
    method: "PUT",
    path: `${path}/:user_id`,
    summary: "Change somebody's role; an owner's to do, for those below them",
    params: MemberParams,
    body: ChangeMember,
    responses: { 200: Member },
    errors: ["not_found", "conflict"],
    handler: async (request) => {
      const which = whichOf(request);
      const { role } = request.body as ChangeMember;
      const member = await changeRole(deps, actorOf(request), { ...which, role });
      deps.log.info({ ...byWhom(request), room_id: which.roomId, user: which.userId, role }, "role changed");
      return { status: 200, body: member };
    },
  };
}

function removeRoute(deps: RouteDeps): Route {
  return {
    ...forManagers,
    method: "DELETE",
    path: `${path}/:user_id`,
    summary: "Remove a member; a moderator's to do, for those below them",
    params: MemberParams,
    responses: { 204: Nothing },
    errors: ["not_found", "conflict"],
    handler: async (request) => {
      const which = whichOf(request);
      await removeFromRoom(deps, actorOf(request), which);
      deps.log.info({ ...byWhom(request), room_id: which.roomId, user: which.userId }, "member removed");
      return { status: 204 };
    },
  };
}
