import { Type } from "typebox";
import {
  Account,
  AccountChange,
  NewPassword,
  NewUser,
  Person,
  SeedUser,
  UserParams,
  UserQuery,
} from "../../../protocol/accounts.ts";
import { limits } from "../../../protocol/limits.ts";
import { type Actor, actorName, byWhom, hasScope, personOf } from "../../access/actor.ts";
import { type User, findUser, toAccount } from "../../access/users.ts";
import type { Deps, Route, RouteRequest } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import type { People } from "./people.ts";
import type { SignIns } from "./sign-in.ts";

type UserDeps = Pick<Deps, "db" | "log"> & { readonly people: People; readonly signIns: SignIns };

const tag = "accounts";
const scope = "users:manage";

export function userRoutes(deps: UserDeps): readonly Route[] {
  return [...ownRoutes(deps), listRoute(deps), showRoute(deps), createRoute(deps), ...disableRoutes(deps)];
}

/** As the seed shows a person, to somebody. */
function toSeedUser(user: User, reader: Actor | undefined): SeedUser {
  const { id, username } = user;
  return { id, username, email: emailFor(reader, user) };
}

/** The address, to the person themselves and to who manages people: anybody may register, and read the list. */
function emailFor(reader: Actor | undefined, { id, email }: User): string | null {
  if (reader === undefined) return null;
  const isTheirs = reader.kind === "user" && reader.id === id;
  return isTheirs || hasScope(reader, scope) ? (email ?? null) : null;
}

/** What people see and change of themselves. */
function ownRoutes({ db, people, signIns }: UserDeps): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/me",
      scope: "person",
      summary: "Who you are",
      tag,
      responses: { 200: Account },
      handler: async ({ actor }) => {
        const user = await findUser(db, personOf(actor).id);
        if (user === undefined)
          throw new AppError("forbidden", { detail: "there is no such person any more" });
        return { status: 200, body: toAccount(user) };
      },
    },
    {
      method: "PATCH",
      path: "/api/v1/me",
      scope: "person",
      summary: "Change the name that others see",
      tag,
      body: AccountChange,
      responses: { 200: Account },
      errors: ["not_found"],
      handler: async ({ actor, body }) => {
        const person = personOf(actor);
        const user = await people.rename(person.id, (body as AccountChange).name, actorName(person));
        return { status: 200, body: toAccount(user) };
      },
    },
    {
      method: "PUT",
      path: "/api/v1/me/password",
      scope: "person",
      summary: "Change your password; everywhere else you are signed out",
      tag,
      body: NewPassword,
      responses: { 204: Type.Null({ description: "The password is changed" }) },
      handler: async ({ actor, body, ip }) => {
        await signIns.changePassword(personOf(actor), body as NewPassword, ip);
        return { status: 204 };
      },
    },
  ];
}

function listRoute({ people }: UserDeps): Route {
  return {
    method: "GET",
    path: "/api/v1/users",
    scope: "person",
    programScope: scope,
    summary: "List people by id",
    description:
      "A page of them; the next one is `after` the last id of this one, and an empty one is the last. E-mail addresses are shown to their owners and to who has users:manage.",
    tag,
    query: UserQuery,
    responses: { 200: Type.Array(SeedUser) },
    handler: async ({ actor, query }) => {
      const { limit = limits.pageRowsDefault, after = 0 } = query as UserQuery;
      const page = await people.page({ after, limit });
      return { status: 200, body: page.map((user) => toSeedUser(user, actor)) };
    },
  };
}

function showRoute({ db }: UserDeps): Route {
  return {
    method: "GET",
    path: "/api/v1/users/:id",
    scope: "person",
    programScope: scope,
    summary: "Who somebody is, and what they call themselves",
    tag,
    params: UserParams,
    responses: { 200: Person },
    errors: ["not_found"],
    handler: async (request) => {
      const user = await findUser(db, idOf(request));
      if (user === undefined) throw new AppError("not_found", { detail: "there is no such person" });
      const { id, uuid, username, name, role } = user;
      const person: Person = { id, uuid, username, email: emailFor(request.actor, user), name, role };
      return { status: 200, body: person };
    },
  };
}

function createRoute({ people, log }: UserDeps): Route {
  return {
    method: "POST",
    path: "/api/v1/users",
    scope,
    summary: "Make a person; without a password they cannot sign in yet",
    tag,
    body: NewUser,
    responses: { 201: SeedUser },
    errors: ["conflict"],
    handler: async (request) => {
      const { username, email, name, password } = request.body as NewUser;
      const user = await people.create({ username, email, name, password });
      log.info({ ...byWhom(request), user: user.id }, "person created");
      return { status: 201, body: toSeedUser(user, request.actor) };
    },
  };
}

function disableRoutes({ people, log }: UserDeps): readonly Route[] {
  const shared = { method: "POST", scope, tag, params: UserParams, errors: ["not_found"] } as const;
  const done = (request: RouteRequest, text: string): { readonly status: 204 } => {
    log.info({ ...byWhom(request), user: idOf(request) }, text);
    return { status: 204 };
  };
  return [
    {
      ...shared,
      path: "/api/v1/users/:id/disable",
      summary: "Let nobody in as this person any more, and end what they are signed in with",
      description:
        "All their sign-ins end, with the access tokens that are out and the WebSockets that are open: in this process at once, in others within a second. Tokens of another issuer: where there is a gateway as soon as it hears of it, elsewhere within a minute.",
      responses: { 204: Type.Null({ description: "The person is disabled" }) },
      handler: async (request) => {
        const { actor } = request;
        await people.disable(idOf(request), actor === undefined ? "system" : actorName(actor));
        return done(request, "person disabled");
      },
    },
    {
      ...shared,
      path: "/api/v1/users/:id/enable",
      summary: "Let a disabled person in again",
      responses: { 204: Type.Null({ description: "The person is not disabled" }) },
      handler: async (request) => {
        await people.enable(idOf(request));
        return done(request, "person enabled");
      },
    },
  ];
}

function idOf({ params }: RouteRequest): number {
  return (params as UserParams).id;
}
