import type { Account, SignedIn } from "../protocol/accounts.ts";
import { type Clock, pause } from "./clock.ts";
import { TidingsError, clientError, isRefusal } from "./errors.ts";
import { type Observable, createSource } from "./observable.ts";
import {
  type Described,
  type Kept,
  type Stored,
  describedKey,
  isSame,
  parseStored,
  sessionKey,
} from "./kept-session.ts";
import type { ClientStorage } from "./storage.ts";
import type { Tokens } from "./tokens.ts";
import { type Call, type Transport, pauseBefore } from "./transport.ts";

/** Tokens of this server: they are kept in storage, and renewed once however many ask at the same time. */
export type Session = Tokens & {
  /** Who is signed in. Undefined until the storage was read, and when nobody is. */
  readonly account: Observable<Account | undefined>;
  signedIn(answer: SignedIn): Promise<Account>;
  /** The server has told who that is, under another name perhaps, when it was asked at `askedAt`, Unix milliseconds. */
  described(account: Account, askedAt: number): Promise<void>;
  /** The refresh token, for who signs out. */
  refreshToken(): Promise<string | undefined>;
  /** Forgets the tokens on this device. */
  forget(): Promise<void>;
};

export type SessionDeps = {
  readonly storage: ClientStorage;
  readonly transport: Transport;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
};

/** Renewals during which a call may be under way, and still be known for whose it is. */
export const tokensKnownMax = 16;
/** A token that ends sooner is renewed before it is used. */
export const tokenMarginMs = 10_000;

/**
 * What is stored is the truth for all tabs that share a storage: it is read before a renewal, before each repetition of
 * one, and before its answer is kept, since a refresh token is good once: an old one, put back or presented again, would
 * end the sign-in on the whole device.
 */
export class StoredSession implements Session {
  readonly account: Observable<Account | undefined>;
  readonly #deps: SessionDeps;
  readonly #account = createSource<Account | undefined>(undefined);
  #kept: Kept | undefined;
  #described: Described | undefined;
  /** How often who is held, and by what tokens, has changed. */
  #changes = 0;
  /** The newest access tokens of whoever was signed in last. A call may still be under way with any of them. */
  readonly #tokens = new Set<string>();
  #person: number | undefined;
  /** What the storage was last known to have; undefined before anybody has looked. */
  #inStorage: Pick<Stored, "kept"> | undefined;
  #reading: Promise<void> | undefined;
  #renewing: Promise<string> | undefined;
  /** The last change on its way to the storage. */
  #stored: Promise<unknown> = Promise.resolve();

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.account = this.#account;
  }

  /** Throws `signed_out`, too, when somebody else signs in meanwhile: what one person asks is not done in another's name. */
  async token(refused?: string): Promise<string> {
    await this.#ready();
    const kept = this.#kept;
    if (kept === undefined || (refused !== undefined && !this.#tokens.has(refused)))
      throw clientError("signed_out");
    if (this.#isGood(kept, refused)) return kept.accessToken;
    this.#renewing ??= this.#renew(refused).finally(() => (this.#renewing = undefined));
    const token = await this.#renewing;
    if (this.#kept?.account.id !== kept.account.id) throw clientError("signed_out");
    return token;
  }

  async signedIn(answer: SignedIn): Promise<Account> {
    await this.#keep(answer);
    return answer.user;
  }

  async described(account: Account, askedAt: number): Promise<void> {
    if (isSame(this.#account.get(), account)) return;
    // Whoever has signed out meanwhile, here or in another tab, leaves nothing behind.
    await this.#reread().catch(() => undefined);
    if (this.#kept?.account.id !== account.id) return;
    const described = { account, askedAt };
    const stored = this.#store(() => this.#deps.storage.save(describedKey, JSON.stringify(described)));
    this.#hold(this.#kept, described);
    await stored;
  }

  /**
   * The server has ended a sign-in, and says so to whoever listens, perhaps long after: another tab, or this one, may
   * have signed in again meanwhile. So the server is asked whether what is stored now is good. False when nobody is
   * signed in any more. Rejects when it could not be found out.
   */
  async outlivesEnd(): Promise<boolean> {
    try {
      await this.#ready();
      await this.token(this.#kept?.accessToken);
      return true;
    } catch (error) {
      if (error instanceof TidingsError && error.code === "signed_out") return false;
      throw error;
    }
  }

  async refreshToken(): Promise<string | undefined> {
    await this.#ready();
    return this.#kept?.refreshToken;
  }

  async forget(): Promise<void> {
    const { storage } = this.#deps;
    const stored = this.#store(async () => {
      const [tokens, person] = await Promise.allSettled([
        storage.remove(sessionKey),
        storage.remove(describedKey),
      ]);
      if (tokens.status === "rejected") throw tokens.reason;
      this.#inStorage = { kept: undefined };
      if (person.status === "rejected") throw person.reason;
    });
    this.#hold(undefined, undefined);
    await stored;
  }

  async #renew(refused: string | undefined): Promise<string> {
    const { transport, clock, random } = this.#deps;
    for (let attempt = 1; ; attempt++) {
      const before = this.#kept;
      await this.#reread();
      const used = this.#kept;
      if (used === undefined) throw clientError("signed_out");
      if (used.accessToken !== before?.accessToken && this.#isGood(used, refused)) return used.accessToken;
      const askedAt = clock.now();
      const call: Call = {
        method: "POST",
        path: "/api/v1/auth/refresh",
        body: { refresh_token: used.refreshToken },
        // The server gives the same answer to the same token again, for a while.
        repeatable: true,
      };
      try {
        // Repeated here: by then another tab may have renewed it, and the device may have slept for hours.
        const answer = (await transport({ ...call, attempts: 1 })) as SignedIn;
        return await this.#renewed(answer, { used, refused, askedAt });
      } catch (error) {
        if (!(error instanceof TidingsError)) throw error;
        if (isRefusal(error, 401)) return await this.#refused(error, used, refused);
        const pauseMs = pauseBefore(error, call, attempt, random());
        if (pauseMs === undefined) throw error;
        await pause(clock, pauseMs);
      }
    }
  }

  /** What has happened while the answer was on its way, here or in another tab, is newer than the answer. */
  async #renewed(
    answer: SignedIn,
    asked: { readonly used: Kept; readonly refused: string | undefined; readonly askedAt: number },
  ): Promise<string> {
    const { used, refused, askedAt } = asked;
    if (this.#kept === used) await this.#reread().catch(() => undefined);
    if (this.#kept !== used) return this.#current(refused);
    await this.#keep(answer, askedAt);
    return answer.access_token;
  }

  /** The server takes the refresh token no more: another tab may have had it renewed, or this one has a better one. */
  async #refused(error: TidingsError, used: Kept, refused: string | undefined): Promise<string> {
    if (this.#kept === used) await this.#reread();
    if (this.#kept?.refreshToken !== used.refreshToken) return this.#current(refused);
    await this.forget();
    throw clientError("signed_out", error);
  }

  #current(refused: string | undefined): string {
    const token = this.#kept?.accessToken;
    if (token === undefined || token === refused) throw clientError("signed_out");
    return token;
  }

  #isGood({ accessToken, expiresAt }: Kept, refused: string | undefined): boolean {
    return accessToken !== refused && expiresAt - tokenMarginMs > this.#deps.clock.now();
  }

  /** A renewal, when it was asked for before: what is stored was read just now. */
  async #keep(answer: SignedIn, askedAt?: number): Promise<void> {
    const now = this.#deps.clock.now();
    const kept: Kept = {
      accessToken: answer.access_token,
      refreshToken: answer.refresh_token,
      expiresAt: now + answer.expires_in * 1000,
      account: answer.user,
      askedAt: askedAt ?? now,
    };
    const known = this.#described;
    // Nothing of a former person stays.
    const isOther = known !== undefined && known.account.id !== kept.account.id;
    const stored = this.#store(async () => {
      // What is there now is older, should this not be stored. Where nobody can look, nobody knows.
      if (askedAt === undefined || this.#inStorage === undefined)
        this.#inStorage = await this.#load().catch(() => this.#inStorage);
      try {
        await this.#deps.storage.save(sessionKey, JSON.stringify(kept));
      } catch (error) {
        // Nobody waits for it: a storage that hangs has been waited for already.
        void this.#look(kept);
        throw error;
      }
      this.#inStorage = { kept };
      if (isOther) await this.#deps.storage.remove(describedKey);
    });
    this.#hold(kept, isOther ? undefined : known);
    await stored;
  }

  #hold(kept: Kept | undefined, described: Described | undefined): void {
    if (kept !== this.#kept) this.#changes++;
    if (kept !== undefined) this.#note(kept);
    this.#kept = kept;
    this.#described = described;
    const isNewer =
      kept !== undefined && described?.account.id === kept.account.id && described.askedAt >= kept.askedAt;
    const account = isNewer ? described.account : kept?.account;
    if (!isSame(this.#account.get(), account)) this.#account.set(account);
  }

  #note({ accessToken, account }: Kept): void {
    if (account.id !== this.#person) this.#tokens.clear();
    this.#person = account.id;
    this.#tokens.add(accessToken);
    const [oldest = ""] = this.#tokens;
    if (this.#tokens.size > tokensKnownMax) this.#tokens.delete(oldest);
  }

  /**
   * One change after the other. What cannot be stored is good until the reload, and told by `onStorageError`. Called
   * before anybody hears of the change: who asks then must not read what was stored before it.
   */
  async #store(change: () => Promise<void>): Promise<void> {
    this.#stored = this.#stored.then(change).catch(() => undefined);
    await this.#stored;
  }

  /** What the storage has: another tab may have renewed, signed in or signed out. */
  async #reread(): Promise<void> {
    await this.#stored;
    const before = this.#inStorage;
    const isOutdated = !isSame(this.#kept, before?.kept);
    const changes = this.#changes;
    const found = await this.#load().catch((error: unknown) => {
      // What could not be stored cannot be read either; it is good as long as the page lasts.
      if (!isOutdated) throw error;
    });
    // Or somebody has signed in or out here while it was read.
    if (found === undefined || changes !== this.#changes) return;
    const { kept, described } = found;
    // What could not be stored is newer than what was there before it; what has come there since is newer still.
    this.#inStorage = found;
    if (isOutdated && (before === undefined || isSame(kept, before.kept))) return;
    // The same object stays as long as it says the same: a renewal knows by it that nothing has happened meanwhile.
    const same = isSame(kept, this.#kept);
    if (!same || !isSame(described, this.#described)) this.#hold(same ? this.#kept : kept, described);
  }

  /**
   * What could not be stored may be there all the same, or may come to be while the storage is read. Then other tabs go
   * on from it: when they have signed out, there is nothing again, as before it, but that is newer.
   */
  async #look(kept: Kept): Promise<void> {
    const found = await this.#load().catch(() => undefined);
    if (isSame(found?.kept, kept)) this.#inStorage = { kept };
  }

  async #load(): Promise<Stored> {
    const texts = await this.#deps.storage.load(sessionKey).catch((error: unknown) => {
      throw clientError("storage_failed", error);
    });
    return parseStored(texts);
  }

  /** Reads what is stored unless somebody is signed in here: they may have done that in another tab. */
  async #ready(): Promise<void> {
    if (this.#kept !== undefined) return;
    this.#reading ??= this.#reread().finally(() => (this.#reading = undefined));
    await this.#reading;
  }
}
