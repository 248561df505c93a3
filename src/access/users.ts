import type { Account, UserRole } from "../../protocol/accounts.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { Queryable, Row } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";

export type User = {
  readonly id: number;
  readonly uuid: string;
  readonly username: string;
  readonly email: string | undefined;
  readonly name: string;
  readonly role: UserRole;
  readonly createdAt: Date;
  readonly disabledAt: Date | undefined;
};

export type NewUser = {
  readonly username: string;
  readonly email?: string | undefined;
  /** The username unless given. */
  readonly name?: string | undefined;
  readonly role?: UserRole | undefined;
  /** Of a password that they sign in with here; without one they sign in elsewhere, or not yet. */
  readonly passwordHash?: string | undefined;
};

/** Throws `conflict` that names what somebody else has already, of username and e-mail. */
export async function insertUser(db: Queryable, user: NewUser): Promise<User> {
  const { username, email, name = username, role = "user", passwordHash } = user;
  const { rows } = await db.query<UserRow>(
    `insert into account_user (username, email, name, role, password_hash) values ($1, $2, $3, $4, $5)
     on conflict do nothing returning ${userColumns}`,
    [username, email ?? null, name.trim(), role, passwordHash ?? null],
  );
  const [row] = rows;
  if (row === undefined) throw await takenError(db, user);
  return toUser(row);
}

async function takenError(db: Queryable, { username, email }: NewUser): Promise<AppError> {
  const { rows } = await db.query<{ username: boolean; email: boolean }>(
    `select exists (select from account_user where username = $1) as username,
            exists (select from account_user where lower(email) = lower($2)) as email`,
    [username, email ?? null],
  );
  const fields: FieldError[] = [];
  if (rows[0]?.username === true) {
    fields.push({ pointer: "/username", code: "taken", detail: "belongs to somebody else" });
  }
  if (rows[0]?.email === true) {
    fields.push({ pointer: "/email", code: "taken", detail: "belongs to somebody else" });
  }
  const what = fields.map(({ pointer }) => pointer.slice(1)).join(" and ");
  return new AppError("conflict", { detail: `the ${what} belongs to somebody else`, fields });
}

export async function findUser(db: Queryable, id: number): Promise<User | undefined> {
  const { rows } = await db.query<UserRow>(`select ${userColumns} from account_user where id = $1`, [id]);
  return rows[0] === undefined ? undefined : toUser(rows[0]);
}

/** A person by username or, where it has an @, e-mail address; with what their password is held against. */
export async function findByLogin(
  db: Queryable,
  login: string,
): Promise<{ readonly user: User; readonly passwordHash: string | undefined } | undefined> {
  const column = login.includes("@") ? "lower(email)" : "username";
  const { rows } = await db.query<UserRow & { password_hash: string | null }>(
    `select ${userColumns}, password_hash from account_user where ${column} = lower($1)`,
    [login],
  );
  const [row] = rows;
  return row === undefined ? undefined : { user: toUser(row), passwordHash: row.password_hash ?? undefined };
}

/** People by id, those that come after one. */
export async function userPage(
  db: Queryable,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<readonly User[]> {
  const { rows } = await db.query<UserRow>(
    `select ${userColumns} from account_user where id > $1 order by id limit $2`,
    [after, limit],
  );
  return rows.map(toUser);
}

export type UserChange = {
  readonly name?: string;
  readonly role?: UserRole;
  readonly passwordHash?: string;
};

/** Changes what is named, and holds the row until the transaction ends. Undefined when there is no such person. */
export async function updateUser(tx: Queryable, id: number, change: UserChange): Promise<User | undefined> {
  const { rows } = await tx.query<UserRow>(
    `update account_user
        set name = coalesce($2, name), role = coalesce($3, role), password_hash = coalesce($4, password_hash)
      where id = $1 returning ${userColumns}`,
    [id, change.name ?? null, change.role ?? null, change.passwordHash ?? null],
  );
  return rows[0] === undefined ? undefined : toUser(rows[0]);
}

/** Notes since when a person is disabled; undefined: they are not. False when there is no such person. */
export async function updateDisabled(tx: Queryable, id: number, since: Date | undefined): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update account_user
        set disabled_at = case when $2::timestamptz is not null then coalesce(disabled_at, $2) end
      where id = $1`,
    [id, since ?? null],
  );
  return rowCount > 0;
}

/** What a person's password is held against, if they have one. */
export async function findPasswordHash(db: Queryable, id: number): Promise<string | undefined> {
  const { rows } = await db.query<{ password_hash: string | null }>(
    "select password_hash from account_user where id = $1",
    [id],
  );
  return rows[0]?.password_hash ?? undefined;
}

/** Replaces a password. False when it is not that one any more. */
export async function replacePassword(
  tx: Queryable,
  id: number,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    "update account_user set password_hash = $3 where id = $1 and password_hash = $2",
    [id, from, to],
  );
  return rowCount > 0;
}

/** A person as they see themselves. */
export function toAccount(user: User): Account {
  const { id, uuid, username, email = null, name, role, createdAt } = user;
  return { id, uuid, username, email, name, role, created_at: createdAt.toISOString() };
}

export type UserRow = Row & {
  readonly id: number;
  readonly uuid: string;
  readonly username: string;
  readonly email: string | null;
  readonly name: string;
  readonly role: UserRole;
  readonly created_at: Date;
  readonly disabled_at: Date | null;
};

export const userColumns = "id, uuid, username, email, name, role, created_at, disabled_at";

export function toUser(row: UserRow): User {
  return {
    id: row.id,
    uuid: row.uuid,
    username: row.username,
    email: row.email ?? undefined,
    name: row.name,
    role: row.role,
    createdAt: row.created_at,
    disabledAt: row.disabled_at ?? undefined,
  };
}
