import type { Scope } from "../../protocol/scopes.ts";
import type { Route } from "../../src/deps.ts";
import { createBrowser } from "../../src/modules/notifications/push/service.fixture.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { newcomer, password } from "../journeys/accounts.ts";
import { webhook } from "../journeys/inbox.ts";
import type { Cast, Columns, Stage } from "./cast.ts";

/** Who may use a route, and a request to it that is right in every other way. */
export type Row = {
  readonly scope: Route["scope"];
  readonly programScope?: Scope;
  /** The status that each role gets. */
  readonly by: Columns<number>;
  /** Parameters of the path that are not the stage's, and the query. */
  readonly path?: (cast: Cast, stage: Stage) => string;
  readonly body?: (cast: Cast, stage: Stage) => unknown;
  /** What it answers with has no end. */
  readonly streams?: true;
  /** Its sender proves itself by a signature alone: no credential opens it. */
  readonly signed?: true;
};

/** To everybody, whatever they show. */
function open(status: number, body?: Row["body"]): Row {
  const s = status;
  return { scope: "open", by: [s, s, s, s, s, s, s, s, s, s], ...(body === undefined ? {} : { body }) };
}

/** To who has the scope: admins, and keys with it. */
function scoped(scope: Scope | "self", allowed: number, rest: Pick<Row, "path" | "body"> = {}): Row {
  return { scope, by: [401, 403, 403, 403, 403, 403, 403, allowed, 403, allowed], ...rest };
}

/** To people, each by what they are to the room. */
function people(by: Columns<number>, body?: Row["body"]): Row {
  return { scope: "person", by, ...(body === undefined ? {} : { body }) };
}

/** To people, and to programs that manage. */
function managed(programScope: Scope, by: Columns<number>, body?: Row["body"]): Row {
  return { ...people(by, body), programScope };
}

const message = () => ({ client_msg_id: uuidv7(), content: "Hello" });
let counter = 1;
const room = "/api/v1/rooms/:room_id";
const chat = "chat:manage";

async function loggedIn({ login }: Cast): Promise<{ refresh_token: string }> {
  const { refresh_token } = JSON.parse((await login("visitor", password)).text) as { refresh_token: string };
  return { refresh_token };
}

/**
 * Every route of the server: one that is missing here fails the test. A route may have several rows: what follows `#`
 * says what is special about the request. Columns: anonymous, stranger, visitor, ex-member, member, moderator, owner,
 * admin, key without the scope, key with it.
 */
export const matrix: Readonly<Record<string, Row>> = {
  "GET /health": open(200),
  "GET /health/live": open(200),
  "GET /health/ready": open(200),
  "GET /stats": scoped("stats:read", 200),
  "GET /asyncapi.json": open(200),
  // It looks at credentials itself, since browsers can show them in the URL only; who hears what is another table's.
  "GET /api/v1/events": {
    scope: "open",
    by: [401, 200, 200, 200, 200, 200, 200, 200, 200, 200],
    path: (_cast, { roomId }) => `/api/v1/events?topics=room/${roomId}`,
    streams: true,
  },

  "POST /api/v1/auth/register": open(201, () => newcomer()),
  "POST /api/v1/auth/login": open(200, () => ({ login: "visitor", password })),
  "POST /api/v1/auth/refresh": open(200, loggedIn),
  "POST /api/v1/auth/logout": open(204, loggedIn),
  "GET /api/v1/me": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "PATCH /api/v1/me": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403], () => ({
    name: "Somebody",
  })),
  "PUT /api/v1/me/password": people([401, 204, 204, 204, 204, 204, 204, 204, 403, 403], () => ({
    old_password: password,
    new_password: password,
  })),
  "GET /api/v1/users": managed("users:manage", [401, 200, 200, 200, 200, 200, 200, 200, 403, 200]),
  "GET /api/v1/users/:id": managed("users:manage", [401, 404, 404, 404, 404, 404, 404, 404, 403, 404]),
  "GET /api/v1/users/:id # of somebody who is there": {
    ...managed("users:manage", [401, 200, 200, 200, 200, 200, 200, 200, 403, 200]),
    path: (_cast, { target }) => `/api/v1/users/${target}`,
  },
  "POST /api/v1/users": scoped("users:manage", 201, {
    body: () => ({ username: `made-${counter}`, email: `made-${counter++}@example.com` }),
  }),
  "POST /api/v1/users/:id/disable": scoped("users:manage", 404),
  "POST /api/v1/users/:id/enable": scoped("users:manage", 404),

  "GET /api/v1/rooms": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "GET /api/v1/rooms/public": managed(chat, [401, 200, 200, 200, 200, 200, 200, 200, 403, 200]),
  "POST /api/v1/rooms": managed(chat, [401, 201, 201, 201, 201, 201, 201, 201, 403, 201], () => ({
    kind: "private",
    name: "mine",
  })),
  "POST /api/v1/rooms/direct": people(
    [401, 201, 201, 201, 201, 201, 201, 201, 403, 403],
    (_cast, { target }) => ({ user_id: target }),
  ),
  [`GET ${room}`]: managed(chat, [401, 404, 200, 404, 200, 200, 200, 200, 403, 200]),
  [`PATCH ${room}`]: managed(chat, [401, 404, 403, 404, 403, 403, 200, 200, 403, 200], () => ({ name: "x" })),
  [`POST ${room}/join`]: people([401, 404, 200, 404, 200, 200, 200, 403, 403, 403]),
  // The last owner hands over first.
  [`POST ${room}/leave`]: people([401, 404, 404, 404, 204, 204, 409, 404, 403, 403]),
  [`PUT ${room}/read`]: people([401, 404, 403, 404, 200, 200, 200, 403, 403, 403], () => ({ seq: 1 })),
  [`GET ${room}/members`]: managed(chat, [401, 404, 200, 404, 200, 200, 200, 200, 403, 200]),
  [`POST ${room}/members`]: managed(
    chat,
    [401, 404, 403, 404, 403, 200, 200, 200, 403, 200],
    (_cast, stage) => ({ user_ids: [stage.newcomer] }),
  ),
  [`PUT ${room}/members/:user_id`]: managed(chat, [401, 404, 403, 404, 403, 403, 200, 200, 403, 200], () => ({
    role: "moderator",
  })),
  [`DELETE ${room}/members/:user_id`]: managed(chat, [401, 404, 403, 404, 403, 204, 204, 204, 403, 204]),
  [`GET ${room}/messages`]: managed(chat, [401, 404, 200, 404, 200, 200, 200, 200, 403, 200]),
  // Sending looks at nothing but memberships: who manages and is no member is told what strangers are told.
  [`POST ${room}/messages`]: people([401, 404, 403, 404, 201, 201, 201, 404, 403, 403], message),
  [`GET ${room}/messages/:message_id`]: managed(chat, [401, 404, 200, 404, 200, 200, 200, 200, 403, 200]),
  [`PATCH ${room}/messages/:message_id`]: people([401, 404, 403, 404, 200, 403, 403, 403, 403, 403], () => ({
    content: "Good day",
  })),
  [`DELETE ${room}/messages/:message_id`]: managed(chat, [401, 404, 403, 404, 200, 200, 200, 200, 403, 200]),
  [`DELETE ${room}/messages/:message_id # of the owner`]: {
    ...managed(chat, [401, 404, 403, 404, 403, 200, 200, 200, 403, 200]),
    path: (_cast, { roomId, ownersMessage }) => `/api/v1/rooms/${roomId}/messages/${ownersMessage}`,
  },
  "GET /api/v1/messages": managed(chat, [401, 200, 200, 200, 200, 200, 200, 200, 403, 200]),
  "POST /api/v1/messages": people([401, 201, 201, 201, 201, 201, 201, 201, 403, 403], () => ({
    content: "Hello World!",
  })),
  "POST /api/v1/messages # in somebody else's name": people(
    [401, 403, 403, 403, 403, 403, 403, 403, 403, 403],
    (_cast, { target }) => ({ user_id: target, username: "target", content: "Hello World!" }),
  ),

  "POST /api/v1/notify": scoped("notify:write", 202, {
    body: (_cast, { target }) => ({ target: [{ id: target }], message: "Hello", source: "matrix" }),
  }),
  "POST /api/v1/broadcasts": scoped("notify:write", 202, {
    body: () => ({ message: "Hello", source: "matrix" }),
  }),
  "GET /api/v1/broadcasts": managed("notify:write", [401, 200, 200, 200, 200, 200, 200, 200, 403, 200]),
  "DELETE /api/v1/broadcasts/:broadcast_id": scoped("notify:write", 204, {
    path: () => `/api/v1/broadcasts/${uuidv7()}`,
  }),
  "GET /api/v1/notifications": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "GET /api/v1/notifications/unread": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "POST /api/v1/notifications/mark": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403], () => ({
    state: "read",
    up_to: "0-0",
  })),
  "GET /api/v1/notifications/preferences": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "PUT /api/v1/notifications/preferences": people(
    [401, 200, 200, 200, 200, 200, 200, 200, 403, 403],
    () => ({}),
  ),
  "GET /api/v1/push/key": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "GET /api/v1/push/subscriptions": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  "POST /api/v1/push/subscriptions": people(
    [401, 201, 201, 201, 201, 201, 201, 201, 403, 403],
    () => createBrowser(`https://push.example.org/${uuidv7()}`).subscription,
  ),
  "DELETE /api/v1/push/subscriptions/:id": people([401, 204, 204, 204, 204, 204, 204, 204, 403, 403]),

  "GET /api/v1/wallet": people([401, 200, 200, 200, 200, 200, 200, 200, 403, 403]),
  // This server has an operator's JWT_SECRET: the journeys have one that has not.
  "POST /api/v1/wallet/demo": people([401, 403, 403, 403, 403, 403, 403, 403, 403, 403], () => ({
    amount: "1",
  })),
  "POST /api/v1/payments/:provider": {
    // There is no provider on this server: the journeys have one.
    ...scoped("self", 404),
    by: [404, 404, 404, 404, 404, 404, 404, 404, 404, 404],
    path: () => "/api/v1/payments/shop",
    body: () => ({ event_id: "evt_1", login: "nobody", amount: "1", currency: "USD" }),
    signed: true,
  },
  "GET /api/v1/payments": scoped("money:manage", 200),
  "POST /api/v1/payments/:id/assign": scoped("money:manage", 404, {
    path: () => `/api/v1/payments/${uuidv7()}/assign`,
    body: (_cast, { target }) => ({ user_id: target }),
  }),
  // Nobody here has earned anything.
  "POST /api/v1/payouts": scoped("money:manage", 409, {
    body: (_cast, { target }) => ({ payout_id: uuidv7(), user_id: target, amount: "1" }),
  }),
  "POST /api/v1/ledger/reconcile": scoped("money:manage", 200),
  "GET /api/v1/ledger/halt": scoped("money:manage", 200),
  "DELETE /api/v1/ledger/halt": scoped("money:manage", 200),

  "POST /api/v1/webhook": scoped("self", 202, {
    path: () => "/api/v1/webhook?source=matrix",
    body: () => webhook(),
  }),
  "GET /api/v1/dialogs": scoped("inbox:read", 200),
  "GET /api/v1/dialogs/:id/messages": scoped("inbox:read", 404),
  "GET /api/v1/contacts/:id": scoped("inbox:read", 404),
  "GET /api/v1/sources": scoped("sources:manage", 200),
  "POST /api/v1/sources": scoped("sources:manage", 201, {
    body: () => ({ name: `source-${counter++}`, scheme: "hub" }),
  }),
  "POST /api/v1/sources/:name/rotate": scoped("sources:manage", 404),
  "DELETE /api/v1/sources/:name": scoped("sources:manage", 404),

  "GET /api/v1/dead-letters": scoped("deadletters:manage", 200),
  "GET /api/v1/dead-letters/:id": scoped("deadletters:manage", 404),
  "POST /api/v1/dead-letters/:id/retry": scoped("deadletters:manage", 404),
  "POST /api/v1/dead-letters/retry": scoped("deadletters:manage", 202, { body: () => ({ group: "inbox" }) }),
  "DELETE /api/v1/dead-letters/:id": scoped("deadletters:manage", 404),
  "GET /api/v1/consumers": scoped("stats:read", 200),
};
