import { type AccountChangedData, type UserRole, accountChanged } from "../../../protocol/accounts.ts";
import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import {
  type NewUser,
  type User,
  findByLogin,
  insertUser,
  toAccount,
  updateDisabled,
  updateUser,
  userPage,
} from "../../access/users.ts";
import type { Deps } from "../../deps.ts";
import { type EventLog, jsonText } from "../../eventlog/eventlog.ts";
import type { Tx } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";

export type PeopleDeps = Pick<Deps, "db" | "access" | "eventlog" | "clock">;

/** People, as those who manage them see them. Whoever changes something is named as entries name their actor. */
export type People = {
  /** Throws `conflict` that names what is taken. Without a password they cannot sign in here yet. */
  create(person: Omit<NewUser, "passwordHash"> & { readonly password?: string | undefined }): Promise<User>;
  /** People by id, those that come after one. */
  page(where: { readonly after: number; readonly limit: number }): Promise<readonly User[]>;
  /** Throws `not_found`, as all that follow do. */
  byUsername(username: string): Promise<User>;
  rename(id: number, name: string, by: string): Promise<User>;
  /** Another role takes all sessions with it: a token says what its person was when it was made. */
  setRole(id: number, role: UserRole, by: string): Promise<User>;
  /** Ends all their sessions. */
  setPassword(id: number, password: string, by: string): Promise<void>;
  /** Lets nobody in as this person any more, and ends what they are signed in with. Repeating it changes nothing. */
  disable(id: number, by: string): Promise<void>;
  enable(id: number): Promise<void>;
};

export function createPeople(deps: PeopleDeps): People {
  const { db, access, clock, eventlog } = deps;
  const { sessions, passwords, identities } = access;

  return {
    create: async ({ password, ...person }) => {
      const passwordHash = password === undefined ? undefined : await passwords.hash(password);
      return insertUser(db, { ...person, passwordHash });
    },
    page: (where) => userPage(db, where),
    byUsername: async (username) => {
      const found = username.includes("@") ? undefined : await findByLogin(db, username);
      if (found === undefined)
        throw new AppError("not_found", { detail: `there is nobody called "${username}"` });
      return found.user;
    },

    rename: (id, name, by) =>
      db.transaction(async (tx) => {
        const user = there(await updateUser(tx, id, { name: name.trim() }));
        await appendChanged(eventlog, tx, user, by);
        return user;
      }),

    setRole: async (id, role, by) => {
      const user = await db.transaction(async (tx) => {
        const changed = there(await updateUser(tx, id, { role }));
        await sessions.endAll(tx, { userId: id, reason: "admin", by });
        await appendChanged(eventlog, tx, changed, by);
        return changed;
      });
      identities.forget(id);
      return user;
    },

    setPassword: async (id, password, by) => {
      const passwordHash = await passwords.hash(password);
      await db.transaction(async (tx) => {
        there(await updateUser(tx, id, { passwordHash }));
        await sessions.endAll(tx, { userId: id, reason: "password", by });
      });
    },

    disable: async (id, by) => {
      await db.transaction(async (tx) => {
        if (!(await updateDisabled(tx, id, new Date(clock.now())))) throw nobody();
        await sessions.endAll(tx, { userId: id, reason: "disabled", by });
      });
      identities.forget(id);
    },

    enable: async (id) => {
      if (!(await updateDisabled(db, id, undefined))) throw nobody();
      identities.forget(id);
    },
  };
}

function there(user: User | undefined): User {
  if (user === undefined) throw nobody();
  return user;
}

function nobody(): AppError {
  return new AppError("not_found", { detail: "there is no such person" });
}

async function appendChanged(
  eventlog: Pick<EventLog, "appendIn">,
  tx: Tx,
  user: User,
  by: string,
): Promise<void> {
  const data: AccountChangedData = { account: toAccount(user) };
  await eventlog.appendIn(tx, [
    { id: uuidv7(), topic: topics.user(user.id), type: accountChanged, actor: by, data: jsonText(data) },
  ]);
}
