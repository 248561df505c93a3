import { Type } from "typebox";
import { limits } from "./limits.ts";
import { namePattern, nameRule } from "./names.ts";

/** People: who they are, and how they sign in. */

const strict = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const time = Type.String({ format: "date-time" });

export const usernamePattern = "^[a-z0-9][a-z0-9._-]{1,31}$";
export const usernameRule =
  "2 to 32 lower-case letters, digits, dots, dashes or underscores, beginning with a letter or digit";
export const Username = Type.String({ pattern: usernamePattern, "x-detail": usernameRule });
export const emailPattern = "^[^@\\s\\p{Cc}]+@[^@\\s\\p{Cc}]+$";
export const emailLengthMax = 254;
export const Email = Type.String({
  maxLength: emailLengthMax,
  pattern: emailPattern,
  "x-text": { min: 3, max: emailLengthMax },
  "x-detail": "an e-mail address",
});
/** Of a person, as others see it. */
export const displayNameRule = nameRule(limits.displayNameLength);
export const DisplayName = Type.String({
  pattern: namePattern,
  "x-text": { min: 1, max: limits.displayNameLength },
  "x-detail": displayNameRule,
  description: displayNameRule,
});
export const Password = Type.String({
  minLength: limits.passwordLengthMin,
  maxLength: limits.passwordLength,
  description: `${limits.passwordLengthMin} to ${limits.passwordLength} characters, any of them`,
});

export const userRoles = ["user", "moderator", "admin"] as const;
export type UserRole = (typeof userRoles)[number];

const role = Type.Union(userRoles.map((role) => Type.Literal(role)));
/** E-mail addresses are for the person themselves and for those who manage people; to others they are null. */
const emailOfSome = Type.Union([Type.String(), Type.Null()], {
  description: "null unless it is your own address or you have users:manage",
});

/** A person as the seed's `GET /api/v1/users` shows one. */
export const SeedUser = Type.Object({ id, username: Username, email: emailOfSome }, strict);
export type SeedUser = { id: number; username: string; email: string | null };

/** A person, to others. */
export const Person = Type.Object(
  {
    id,
    uuid: Type.String({ format: "uuid" }),
    username: Username,
    email: emailOfSome,
    name: Type.String(),
    role,
  },
  strict,
);
export type Person = {
  id: number;
  uuid: string;
  username: string;
  email: string | null;
  name: string;
  role: UserRole;
};

/** A person, to themselves. */
export const Account = Type.Object(
  {
    id,
    uuid: Type.String({ format: "uuid" }),
    username: Username,
    email: Type.Union([Type.String(), Type.Null()]),
    name: Type.String(),
    role,
    created_at: time,
  },
  strict,
);
export type Account = {
  id: number;
  uuid: string;
  username: string;
  email: string | null;
  name: string;
  role: UserRole;
  created_at: string;
};

/** Body of `POST /api/v1/users`, as the seed has it, with what it leaves open. */
export const NewUser = Type.Object(
  {
    username: Username,
    email: Email,
    name: Type.Optional(DisplayName),
    password: Type.Optional(Password),
  },
  strict,
);
export type NewUser = { username: string; email: string; name?: string; password?: string };

/** Body of `POST /api/v1/auth/register`. */
export const Registration = Type.Object(
  { username: Username, email: Email, name: Type.Optional(DisplayName), password: Password },
  strict,
);
export type Registration = { username: string; email: string; name?: string; password: string };

/** Body of `POST /api/v1/auth/login`: `login` is a username or an e-mail address. */
export const Login = Type.Object(
  {
    login: Type.String({ "x-text": { min: 1, max: emailLengthMax } }),
    password: Type.String({ minLength: 1, maxLength: limits.passwordLength }),
  },
  strict,
);
export type Login = { login: string; password: string };

/** Body of `PUT /api/v1/me/password`. */
export const NewPassword = Type.Object(
  { old_password: Type.String({ minLength: 1, maxLength: limits.passwordLength }), new_password: Password },
  strict,
);
export type NewPassword = { old_password: string; new_password: string };

/** Body of `PATCH /api/v1/me`. */
export const AccountChange = Type.Object({ name: DisplayName }, strict);
export type AccountChange = { name: string };

/** Query of `GET /api/v1/users`: people in the order of their ids, those that come after one. */
export const UserQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: "the last id that you have",
      }),
    ),
  },
  strict,
);
export type UserQuery = { limit?: number; after?: number };
export const UserParams = Type.Object({ id }, strict);
export type UserParams = { id: number };

/** Body of `POST /api/v1/auth/refresh` and `/logout`. */
export const RefreshBody = Type.Object(
  { refresh_token: Type.String({ minLength: 1, maxLength: 200 }) },
  strict,
);
export type RefreshBody = { refresh_token: string };

/**
 * What a sign-in gives: an access token for a quarter of an hour, unless the sign-in ends before, and a refresh token that
 * is traded for the next.
 */
export const SignedIn = Type.Object(
  {
    access_token: Type.String(),
    token_type: Type.Literal("Bearer"),
    expires_in: Type.Integer({ description: "seconds for which the access token is good" }),
    refresh_token: Type.String({ description: "good once; trade it at /api/v1/auth/refresh" }),
    user: Account,
  },
  strict,
);
export type SignedIn = {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
  refresh_token: string;
  user: Account;
};

/** Entry types of the topic `user/ID`: what the person's other devices hear. */
export const sessionEnded = "session.ended";
/** Without an id, all of the person's sessions have ended. */
export const SessionEndedData = Type.Object(
  { session_id: Type.Optional(Type.String({ format: "uuid" })), reason: Type.String() },
  strict,
);
export type SessionEndedData = { session_id?: string; reason: string };
export const accountChanged = "account.changed";
export const AccountChangedData = Type.Object({ account: Account }, strict);
export type AccountChangedData = { account: Account };
