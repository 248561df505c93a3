import type { Login, NewPassword, Registration, SignedIn } from "../../../protocol/accounts.ts";
import { type UserActor, actorName } from "../../access/actor.ts";
import { addressKey } from "../../access/address.ts";
import { type SignIn, elsewhere } from "../../access/sessions.ts";
import { findByLogin, findPasswordHash, insertUser, replacePassword, toAccount } from "../../access/users.ts";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { type BucketRate, createBuckets } from "../../lib/token-bucket.ts";
import { createGuesses } from "./guesses.ts";

export type SignInDeps = Pick<Deps, "db" | "access" | "clock"> & {
  readonly config: Pick<Deps["config"], "registration" | "rateRegister">;
};

/** How people get in by themselves. `ip` is where the request came from. */
export type SignIns = {
  /** Throws `forbidden` where registration is closed, `conflict` that names what is taken, `rate_limited`. */
  register(body: Registration, ip: string): Promise<SignedIn>;
  /** Throws `unauthorized` for a wrong name or password, `forbidden` for somebody who is disabled, `rate_limited`. */
  login(body: Login, ip: string): Promise<SignedIn>;
  refresh(refreshToken: string): Promise<SignedIn>;
  logout(refreshToken: string): Promise<void>;
  /** Ends all other sessions. Throws `forbidden` when the old password is wrong, `rate_limited`. */
  changePassword(person: UserActor, body: NewPassword, ip: string): Promise<void>;
};

/** Addresses whose registrations are remembered. */
const addressesMax = 50_000;

export function createSignIns(deps: SignInDeps): SignIns {
  const { db, access, clock } = deps;
  const { sessions, passwords } = access;
  const guesses = createGuesses(clock);
  const register = createRegister(deps, deps.config.rateRegister);

  return {
    register,

    login: async ({ login, password }, ip) => {
      if (!sessions.canStart) elsewhere();
      const name = login.trim().toLowerCase();
      const passed = await guesses.attempt(
        { name: `sign-in of ${name}`, address: addressKey(ip) },
        async (of) => {
          const found = await findByLogin(db, name);
          // A name that nobody has is an account like others, and answered alike.
          of(found === undefined ? `nobody's ${name}` : accountOf(found.user.id));
          const right = await passwords.verify(password, found?.passwordHash);
          if (!right || found?.passwordHash === undefined) return undefined;
          return { id: found.user.id, passwordHash: found.passwordHash };
        },
      );
      if (passed === undefined) {
        throw new AppError("unauthorized", { detail: "The name or the password is wrong" });
      }
      return signedIn(await db.transaction((tx) => sessions.start(tx, passed.id, passed)));
    },

    refresh: async (refreshToken) => signedIn(await sessions.renew(refreshToken)),
    logout: (refreshToken) => sessions.end(refreshToken),

    changePassword: async (person, { old_password: old, new_password: wanted }, ip) => {
      const from = await findPasswordHash(db, person.id);
      if (from === undefined) {
        throw new AppError("forbidden", { detail: "this account has no password here to change" });
      }
      const by = { name: `password of ${person.id}`, address: addressKey(ip) };
      const right = await guesses.attempt(by, async (of) => {
        of(accountOf(person.id));
        return (await passwords.verify(old, from)) ? true : undefined;
      });
      if (right === undefined) throw wrongOldPassword();
      const to = await passwords.hash(wanted);
      await db.transaction(async (tx) => {
        if (!(await replacePassword(tx, person.id, { from, to }))) throw wrongOldPassword();
        const end = { userId: person.id, reason: "password", by: actorName(person) } as const;
        await sessions.endAll(tx, { ...end, but: person.sessionId });
      });
    },
  };
}

function createRegister({ db, access, config, clock }: SignInDeps, rate: BucketRate): SignIns["register"] {
  const registrations = createBuckets({ rate, keysMax: addressesMax, clock });
  return async ({ username, email, name, password }, ip) => {
    if (!access.sessions.canStart) elsewhere();
    if (!config.registration) {
      throw new AppError("forbidden", { detail: "registration is closed: ask whoever runs this server" });
    }
    const { allowed, retryAfterS } = registrations.take(addressKey(ip));
    if (!allowed) {
      throw new AppError("rate_limited", { detail: "too many registrations from this address", retryAfterS });
    }
    const passwordHash = await access.passwords.hash(password);
    return db.transaction(async (tx) => {
      const user = await insertUser(tx, { username, email, name, passwordHash });
      return signedIn(await access.sessions.start(tx, user.id));
    });
  };
}

/** What guesses at a person's password count by, wherever they are made. */
function accountOf(id: number): string {
  return `account ${id}`;
}

function wrongOldPassword(): AppError {
  return new AppError("forbidden", { detail: "the old password is wrong" });
}

function signedIn({ user, accessToken, expiresInS, refreshToken }: SignIn): SignedIn {
  return {
    access_token: accessToken,
    token_type: "Bearer",
    expires_in: expiresInS,
    refresh_token: refreshToken,
    user: toAccount(user),
  };
}
