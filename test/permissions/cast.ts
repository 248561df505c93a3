import assert from "node:assert/strict";
import type { SignedIn } from "../../protocol/accounts.ts";
import type { Message, Room } from "../../protocol/chat.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { type Scope, isScope, scopes } from "../../protocol/scopes.ts";
import { createModules } from "../../src/modules.ts";
import { type Accounts, openAccounts, password, signedInOf } from "../journeys/accounts.ts";

/**
 * Who tries a thing: the columns of the tables. What they are, they are to a private room; a `visitor` is nobody in
 * particular to a public one.
 */
export const roles = [
  "anonymous",
  "stranger",
  "visitor",
  "exMember",
  "member",
  "moderator",
  "owner",
  "admin",
  "keyWithout",
  "keyWith",
] as const;
export type Role = (typeof roles)[number];

/** One outcome for each of `roles`, in their order. */
export type Columns<T> = readonly [T, T, T, T, T, T, T, T, T, T];

/** Goes through a row: who, and what is to become of it. */
export function eachRole<T>(columns: Columns<T>): readonly (readonly [Role, T])[] {
  return columns.map((outcome, i) => [roles[i] ?? "anonymous", outcome]);
}

type Person = Exclude<Role, "anonymous" | "keyWithout" | "keyWith">;
const people: readonly Person[] = roles.filter(
  (role): role is Person => role !== "anonymous" && !role.startsWith("key"),
);
const allScopes = Object.keys(scopes).filter(isScope);

/** A room with everybody in it who belongs there, made anew for every attempt. */
export type Stage = {
  readonly roomId: number;
  /** A member whom others remove and appoint. */
  readonly target: number;
  /** Somebody who is not in the room. */
  readonly newcomer: number;
  readonly membersMessage: string;
  readonly ownersMessage: string;
  /** Ends the membership of `exMember`, who is a member until then. */
  readonly expel: () => Promise<void>;
};

export type Cast = Accounts & {
  readonly person: (role: Person) => SignedIn;
  /** What the role shows: a token or, for keys, one with all other scopes, or with this scope alone. */
  readonly credentialOf: (role: Role, scope: Scope) => Promise<string | undefined>;
  readonly setStage: (kind: "public" | "private") => Promise<Stage>;
  /** Does something as the owner of the rooms; it must succeed. */
  readonly asOwner: (method: string, path: string, json?: unknown) => Promise<string>;
  readonly as: (role: Person, method: string, path: string, json?: unknown) => Promise<string>;
};

export function isPerson(role: Role): role is Person {
  return people.some((one) => one === role);
}

export async function openCast(
  t: { after(callback: () => Promise<void>): void },
  settings: Readonly<Record<string, string>> = {},
): Promise<Cast> {
  const accounts = await openAccounts(t, settings);
  const signedIn = new Map<string, SignedIn>();
  for (const name of [...people, "target", "newcomer"]) {
    signedIn.set(name, await accounts.register({ username: name.toLowerCase() }));
  }
  await appoint(accounts, signedIn);
  const person = (role: string): SignedIn => {
    const found = signedIn.get(role);
    assert.ok(found !== undefined, role);
    return found;
  };
  const as: Cast["as"] = async (role, method, path, json) => {
    const key = person(role).access_token;
    const answer = await accounts.request(method, path, { key, ...(json === undefined ? {} : { json }) });
    assert.ok(answer.status < 300, `${role} ${method} ${path}: ${answer.text}`);
    return answer.text;
  };
  const keys = new Map<string, Promise<string>>();
  const keyOf = (list: readonly Scope[]): Promise<string> => {
    const name = list.join(" ");
    const found = keys.get(name) ?? accounts.key(list);
    keys.set(name, found);
    return found;
  };
  const asOwner: Cast["asOwner"] = (method, path, json) => as("owner", method, path, json);
  return {
    ...accounts,
    person,
    as,
    asOwner,
    credentialOf: async (role, scope) => {
      if (role === "anonymous") return undefined;
      if (role === "keyWith") return keyOf([scope]);
      if (role === "keyWithout") return keyOf(allScopes.filter((one) => one !== scope && one !== "admin"));
      return person(role).access_token;
    },
    setStage: (kind) => setStage({ as, person }, kind),
  };
}

/** Makes the person `admin` one, which ends their sign-in. */
async function appoint(accounts: Accounts, signedIn: Map<string, SignedIn>): Promise<void> {
  const { people } = createModules(accounts.app.deps);
  await people.setRole(signedIn.get("admin")?.user.id ?? 0, "admin", "system");
  signedIn.set("admin", signedInOf(await accounts.login("admin", password)));
}

async function setStage(
  { as, person }: { readonly as: Cast["as"]; readonly person: (name: string) => SignedIn },
  kind: "public" | "private",
): Promise<Stage> {
  const ids = ["exMember", "member", "moderator", "target"].map((name) => person(name).user.id);
  const room = await as("owner", "POST", "/api/v1/rooms", { kind, name: "stage" });
  const { id: roomId } = JSON.parse(room) as Room;
  const path = `/api/v1/rooms/${roomId}`;
  // Whoever manages rooms may add as many as it takes: there are more stages than the owner's rate allows.
  await as("admin", "POST", `${path}/members`, { user_ids: ids });
  await as("owner", "PUT", `${path}/members/${person("moderator").user.id}`, { role: "moderator" });
  const say = async (role: Person): Promise<string> => {
    const wish = { client_msg_id: uuidv7(), content: "Hello" };
    return (JSON.parse(await as(role, "POST", `${path}/messages`, wish)) as Message).id;
  };
  return {
    roomId,
    target: person("target").user.id,
    newcomer: person("newcomer").user.id,
    membersMessage: await say("member"),
    ownersMessage: await say("owner"),
    expel: async () => {
      await as("owner", "DELETE", `${path}/members/${person("exMember").user.id}`);
    },
  };
}
