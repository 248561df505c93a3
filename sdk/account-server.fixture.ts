import type { Account, AccountChange, SignedIn } from "../protocol/accounts.ts";
import { createClient } from "./client.ts";
import type { ClientStorage } from "./storage.ts";
import {
  type Asked,
  FakeNetwork,
  FakeSockets,
  type ManualClock,
  type Told,
  fakeFetch,
  problem,
} from "./world.fixture.ts";

/** How long the server gives the same answer to a refresh token that it has renewed, as `src/access/sessions.ts` does. */
const graceMs = 30_000;

export const ann: Account = {
  id: 7,
  uuid: "0198f000-0000-7000-8000-000000000007",
  username: "ann",
  email: "ann@example.org",
  name: "Ann",
  role: "user",
  created_at: "2026-01-01T00:00:00.000Z",
};
export const bob: Account = { ...ann, id: 8, username: "bob", name: "Bob" };

type Family = {
  readonly userId: number;
  readonly accessTokens: Set<string>;
  ended: boolean;
  newest: SignedIn | undefined;
  before: string | undefined;
  renewedAt: number;
};

/** Sign-ins whose refresh tokens are good once: who presents an older one ends the sign-in. */
export class AccountServer {
  /** Sign-ins that were ended because a used token was presented. */
  reuses = 0;
  /** Somebody on the way answers instead, in their own words: a captive portal, a proxy that asks for a password. */
  proxyPage = false;
  readonly #clock: ManualClock;
  readonly #people = new Map([ann, bob].map((person) => [person.id, person]));
  readonly #families: Family[] = [];
  readonly #gates = new Map<string, PromiseWithResolvers<void>>();
  readonly #delays = new Map<string, Promise<void>>();
  #issued = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  /** A client in a tab of its own; `storage` is shared by the tabs of a device. */
  tab(name: string, storage: ClientStorage): ReturnType<typeof createClient> {
    return createClient({
      url: "http://server",
      storage,
      clock: this.#clock,
      random: () => 0.5,
      fetch: fakeFetch((asked) => this.#answer(name, asked)),
      webSocket: new FakeSockets().make,
      network: new FakeNetwork(),
      onStorageError: () => undefined,
    });
  }

  /** Keeps back what it answers to the tab, but to who signs in or out, as if the tab was frozen. */
  hold(tab: string): void {
    if (!this.#gates.has(tab)) this.#gates.set(tab, Promise.withResolvers());
  }

  release(tab: string): void {
    this.#gates.get(tab)?.resolve();
    this.#gates.delete(tab);
  }

  /** Lets the tab's next call, which is not about signing in, arrive only when it is told to. */
  delay(tab: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#delays.set(tab, promise);
    return resolve;
  }

  /** Takes the access token with this number no more. */
  forgetAccess(number: number): void {
    for (const { accessTokens } of this.#families) accessTokens.delete(`access-${number}`);
  }

  /** Sign-ins that have not ended. */
  get signedIn(): number {
    return this.#families.filter(({ ended }) => !ended).length;
  }

  /** Ends all sign-ins of a person, as an administrator does. */
  endAll(userId: number): void {
    for (const family of this.#families) if (family.userId === userId) family.ended = true;
  }

  async #answer(tab: string, { method, path, headers, body }: Asked): Promise<Told> {
    if (this.proxyPage) return { status: 401, body: "<html>Who are you?</html>" };
    const { login, refresh_token: token } = (body ?? {}) as { login?: string; refresh_token?: string };
    switch (path) {
      case "/api/v1/auth/login":
        return { status: 200, body: this.#signIn(login === "bob" ? bob.id : ann.id) };
      case "/api/v1/auth/logout":
        for (const family of this.#families) {
          if (family.newest?.refresh_token === token || family.before === token) family.ended = true;
        }
        return { status: 204 };
      case "/api/v1/auth/refresh": {
        const told = this.#refresh(token ?? "");
        await this.#gates.get(tab)?.promise;
        return told;
      }
    }
    const delay = this.#delays.get(tab);
    this.#delays.delete(tab);
    await delay;
    const told = this.#call(method, headers["authorization"] ?? "", body);
    await this.#gates.get(tab)?.promise;
    return told;
  }

  #call(method: string, authorization: string, body: unknown): Told {
    const access = authorization.slice("Bearer ".length);
    const family = this.#families.find((one) => !one.ended && one.accessTokens.has(access));
    if (family === undefined) return problem(401, "unauthorized");
    const person = this.#person(family.userId);
    if (method === "PATCH") this.#people.set(person.id, { ...person, name: (body as AccountChange).name });
    return { status: 200, body: this.#person(family.userId) };
  }

  #person(id: number): Account {
    return this.#people.get(id) ?? ann;
  }

  #signIn(userId: number): SignedIn {
    const family: Family = {
      userId,
      accessTokens: new Set(),
      ended: false,
      newest: undefined,
      before: undefined,
      renewedAt: 0,
    };
    this.#families.push(family);
    return this.#issue(family);
  }

  #issue(family: Family): SignedIn {
    const n = ++this.#issued;
    family.before = family.newest?.refresh_token;
    family.renewedAt = this.#clock.now();
    family.accessTokens.add(`access-${n}`);
    family.newest = {
      access_token: `access-${n}`,
      token_type: "Bearer",
      expires_in: 900,
      refresh_token: `refresh-${n}`,
      user: this.#person(family.userId),
    };
    return family.newest;
  }

  #refresh(token: string): Told {
    const number = Number(token.slice("refresh-".length));
    for (const family of this.#families) {
      if (family.ended || !family.accessTokens.has(`access-${number}`)) continue;
      if (family.newest?.refresh_token === token) return { status: 200, body: this.#issue(family) };
      const inGrace = family.before === token && this.#clock.now() - family.renewedAt <= graceMs;
      if (inGrace) return { status: 200, body: family.newest };
      family.ended = true;
      this.reuses++;
    }
    return problem(401, "unauthorized");
  }
}
