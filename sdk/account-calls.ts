import type {
  Account,
  AccountChange,
  Login,
  NewPassword,
  NewUser,
  Person,
  Registration,
  SeedUser,
  SignedIn,
  UserQuery,
} from "../protocol/accounts.ts";
import type { Clock } from "./clock.ts";
import type { Http } from "./http.ts";
import type { Session } from "./session.ts";
import type { Call, Transport } from "./transport.ts";

/** People: who they are, and how they sign in. */
export type AccountCalls = {
  /** Becomes a person of the server, and signs in. */
  register(registration: Registration): Promise<Account>;
  login(login: Login): Promise<Account>;
  /**
   * Signs out on this device, at once and also without a network. Rejects when the server could not be told, with
   * `network` for instance: the tokens are gone all the same, but to the server the sign-in lives on until it ends by
   * itself, or until the person changes their password.
   */
  logout(): Promise<void>;
  me(): Promise<Account>;
  rename(name: string): Promise<Account>;
  /** Everywhere else the person is signed out. */
  changePassword(passwords: NewPassword): Promise<void>;
  /** People in the order of their ids; the next page is `after` the last one. */
  users(query?: UserQuery): Promise<readonly SeedUser[]>;
  /** Who somebody is, and what they call themselves. */
  user(userId: number): Promise<Person>;
  /** For who manages people. */
  createUser(user: NewUser): Promise<SeedUser>;
  disableUser(userId: number): Promise<void>;
  enableUser(userId: number): Promise<void>;
};

export function accountCalls(deps: {
  readonly http: Http;
  readonly transport: Transport;
  readonly session: Session;
  readonly clock: Clock;
}): AccountCalls {
  const { http, transport, session, clock } = deps;
  const signIn = async (path: string, body: unknown): Promise<Account> => {
    // Done twice it would be two people, or two sessions.
    const answer = await transport({ method: "POST", path, body, repeatable: false });
    return session.signedIn(answer as SignedIn);
  };
  /** What is kept of the person is as the server says it last. */
  const described = async (call: Call): Promise<Account> => {
    const askedAt = clock.now();
    const account = await http.call<Account>(call);
    await session.described(account, askedAt);
    return account;
  };
  return {
    register: (registration) => signIn("/api/v1/auth/register", registration),
    login: (login) => signIn("/api/v1/auth/login", login),
    logout: async () => {
      // A storage that cannot be read, or is slow, is no reason to stay signed in here or there.
      let unread: unknown;
      const token = await session.refreshToken().catch((error: unknown) => {
        unread = error;
        return undefined;
      });
      const forgotten = session.forget();
      if (token !== undefined) {
        const body = { refresh_token: token };
        await transport({ method: "POST", path: "/api/v1/auth/logout", body, repeatable: true });
      }
      await forgotten;
      if (unread !== undefined) throw unread;
    },
    me: () => described({ method: "GET", path: "/api/v1/me", repeatable: true }),
    rename: (name) => {
      const body: AccountChange = { name };
      return described({ method: "PATCH", path: "/api/v1/me", body, repeatable: true });
    },
    changePassword: (body) =>
      http.call({ method: "PUT", path: "/api/v1/me/password", body, repeatable: false }),
    users: (query) => http.call({ method: "GET", path: "/api/v1/users", query, repeatable: true }),
    user: (id) => http.call({ method: "GET", path: `/api/v1/users/${id}`, repeatable: true }),
    createUser: (body) => http.call({ method: "POST", path: "/api/v1/users", body, repeatable: false }),
    disableUser: (id) => http.call({ method: "POST", path: `/api/v1/users/${id}/disable`, repeatable: true }),
    enableUser: (id) => http.call({ method: "POST", path: `/api/v1/users/${id}/enable`, repeatable: true }),
  };
}
