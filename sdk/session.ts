import type { Account, SignedIn } from "../protocol/accounts.ts";
import type { Clock } from "./clock.ts";
import { TidingsError, clientError } from "./errors.ts";
import { type Observable, createSource } from "./observable.ts";
import type { ClientStorage } from "./storage.ts";
import type { Transport } from "./transport.ts";

/** Where calls and the socket get their credential from. */
export type Tokens = {
  /**
   * A credential that is good for a while. `refused` is one that the server would not take, or that is about to end:
   * the answer is another one. Throws `TidingsError` `signed_out` when somebody has to sign in, and others when it
   * could not be had this time. Where there never is another one, throws `because`: what the server said of it.
   */
  token(refused?: string, because?: TidingsError): Promise<string>;
};

/** Tokens of this server: they are kept in storage, and renewed once however many ask at the same time. */
export type Session = Tokens & {
  /** Who is signed in. Undefined until the storage was read, and when nobody is. */
  readonly account: Observable<Account | undefined>;
  signedIn(answer: SignedIn): Promise<Account>;
  /** The server has told who that is now: under another name, perhaps. Known to this page; the next renewal stores it. */
  described(account: Account): void;
  /** The refresh token, for who signs out. */
  refreshToken(): Promise<string | undefined>;
  /** Forgets the tokens on this device. */
  forget(): Promise<void>;
};

type Kept = {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Unix milliseconds by this device's clock. */
  readonly expiresAt: number;
  readonly account: Account;
};

export type SessionDeps = {
  readonly storage: ClientStorage;
  readonly transport: Transport;
  readonly clock: Clock;
};

export const sessionKey = "session";
/** A token that ends sooner is renewed before it is used. */
export const tokenMarginMs = 10_000;

export class StoredSession implements Session {
  readonly account: Observable<Account | undefined>;
  readonly #deps: SessionDeps;
  readonly #account = createSource<Account | undefined>(undefined);
  #kept: Kept | undefined;
  #reading: Promise<void> | undefined;
  #renewing: Promise<string> | undefined;
  /** The last change on its way to the storage; false once it has not arrived there: then the storage is outdated. */
  #stored: Promise<boolean> = Promise.resolve(true);

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.account = this.#account;
  }

  async token(refused?: string): Promise<string> {
    await this.#readOnce();
    const kept = this.#kept;
    if (kept === undefined) throw clientError("signed_out");
    if (this.#isGood(kept, refused)) return kept.accessToken;
    this.#renewing ??= this.#renew(refused).finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async signedIn(answer: SignedIn): Promise<Account> {
    await this.#keep(answer);
    return answer.user;
  }

  /**
   * Nothing is stored: what this page holds may be older than what another one has stored meanwhile, and a token that is
   * used already, put back, would end the sign-in on the whole device.
   */
  described(account: Account): void {
    const shown = this.#account.get();
    if (shown?.id === account.id && !isSame(shown, account)) this.#account.set(account);
  }

  /**
   * The server has ended a sign-in, and says so to whoever listens, perhaps long after: another tab, or this one, may
   * have signed in again meanwhile. So the server is asked whether what is stored now is good. False when nobody is
   * signed in any more. Rejects when it could not be found out.
   */
  async outlivesEnd(): Promise<boolean> {
    try {
      await this.#readOnce();
      await this.token(this.#kept?.accessToken);
      return true;
    } catch (error) {
      if (error instanceof TidingsError && error.code === "signed_out") return false;
      throw error;
    }
  }

  async refreshToken(): Promise<string | undefined> {
    await this.#readOnce();
    return this.#kept?.refreshToken;
  }

  async forget(): Promise<void> {
    this.#reading = Promise.resolve();
    this.#hold(undefined);
    await this.#store(() => this.#deps.storage.remove(sessionKey));
  }

  async #renew(refused: string | undefined): Promise<string> {
    const before = this.#kept;
    await this.#reread();
    const used = this.#kept;
    if (used === undefined) throw clientError("signed_out");
    if (used.accessToken !== before?.accessToken && this.#isGood(used, refused)) return used.accessToken;
    try {
      const answer = (await this.#deps.transport({
        method: "POST",
        path: "/api/v1/auth/refresh",
        body: { refresh_token: used.refreshToken },
        // The server gives the same answer to the same token again, for a while.
        repeatable: true,
      })) as SignedIn;
      // Somebody else has signed in, or this one out, while the answer was on its way.
      if (this.#kept !== used) return this.#current(refused);
      await this.#keep(answer);
      return answer.access_token;
    } catch (error) {
      if (!(error instanceof TidingsError) || error.status !== 401) throw error;
      if (this.#kept === used) await this.#reread();
      if (this.#kept?.refreshToken !== used.refreshToken) return this.#current(refused);
      await this.forget();
      throw clientError("signed_out", error);
    }
  }

  #current(refused: string | undefined): string {
    const token = this.#kept?.accessToken;
    if (token === undefined || token === refused) throw clientError("signed_out");
    return token;
  }

  #isGood({ accessToken, expiresAt }: Kept, refused: string | undefined): boolean {
    return accessToken !== refused && expiresAt - tokenMarginMs > this.#deps.clock.now();
  }

  async #keep(answer: SignedIn): Promise<void> {
    const kept: Kept = {
      accessToken: answer.access_token,
      refreshToken: answer.refresh_token,
      expiresAt: this.#deps.clock.now() + answer.expires_in * 1000,
      account: answer.user,
    };
    this.#reading = Promise.resolve();
    this.#hold(kept);
    await this.#store(() => this.#deps.storage.save(sessionKey, JSON.stringify(kept)));
  }

  #hold(next: Kept | undefined): void {
    this.#kept = next;
    if (!isSame(this.#account.get(), next?.account)) this.#account.set(next?.account);
  }

  /** One change after the other. What cannot be stored is good until the reload, and told by `onStorageError`. */
  async #store(change: () => Promise<void>): Promise<void> {
    this.#stored = this.#stored.then(change).then(
      () => true,
      () => false,
    );
    await this.#stored;
  }

  /** What the storage has: another tab may have renewed, signed in or signed out. */
  async #reread(): Promise<void> {
    if (!(await this.#stored)) return;
    const text = await this.#deps.storage.load(sessionKey).then(
      (found) => found.get(sessionKey),
      (error: unknown) => Promise.reject(clientError("storage_failed", error)),
    );
    const found = text === undefined ? undefined : parseKept(text);
    if (!isSame(found, this.#kept)) this.#hold(found);
  }

  #readOnce(): Promise<void> {
    this.#reading ??= this.#reread().catch((error: unknown) => {
      this.#reading = undefined;
      throw error;
    });
    return this.#reading;
  }
}

function isSame(one: object | undefined, other: object | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Undefined for what this version did not write. */
function parseKept(text: string): Kept | undefined {
  try {
    const value = JSON.parse(text) as Kept;
    return typeof value.accessToken === "string" && typeof value.refreshToken === "string"
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

/** A credential that is always the same: an API key, or a token of an outside issuer. */
export function fixedToken(credential: string): Tokens {
  return {
    token: (refused, because = clientError("signed_out")) =>
      refused === credential ? Promise.reject(because) : Promise.resolve(credential),
  };
}

/** How long the application may take to get a token. After that it is asked anew. */
export const getTokenMs = 20_000;

/**
 * Tokens that the application gets elsewhere. `get` is asked once at a time, and only when another token is needed. It
 * says that somebody has to sign in by throwing `clientError("signed_out")`; after anything else it is asked again.
 */
export function tokensFrom(get: () => Promise<string>, clock: Clock): Tokens {
  let last: string | undefined;
  let asking: Promise<string> | undefined;
  const ask = async (refused: string | undefined, because: TidingsError | undefined): Promise<string> => {
    const token = await within(getTokenMs, clock, get());
    if (token === refused) throw because ?? clientError("signed_out");
    last = token;
    return token;
  };
  return {
    token: async (refused, because) => {
      if (last !== undefined && last !== refused) return last;
      asking ??= ask(refused, because).finally(() => (asking = undefined));
      return asking;
    },
  };
}

/** The promise, or `timeout`. */
async function within<T>(ms: number, clock: Clock, promise: Promise<T>): Promise<T> {
  let timer: unknown;
  const late = new Promise<never>((_resolve, reject) => {
    timer = clock.setTimeout(() => reject(clientError("timeout")), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clock.clearTimeout(timer);
  }
}
