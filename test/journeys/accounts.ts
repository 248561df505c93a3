import assert from "node:assert/strict";
import { type Registration, SignedIn } from "../../protocol/accounts.ts";
import { type Answer, type TestApp, startTestApp } from "../app.ts";

/** People as they sign up and in: over HTTP only. */
export type Accounts = TestApp & {
  readonly admin: string;
  readonly post: (path: string, json: unknown, key?: string) => Promise<Answer>;
  /** Registers somebody; without a name, one whom nobody else is called. */
  readonly register: (parts?: Partial<Registration>) => Promise<SignedIn>;
  readonly login: (login: string, password: string) => Promise<Answer>;
  readonly refresh: (token: string) => Promise<Answer>;
};

export const password = "correct horse battery";
export const jwtSecret = "a secret of the journeys of people, long enough";

type Cleanup = { after(callback: () => Promise<void>): void };
let people = 0;

export function newcomer(parts: Partial<Registration> = {}): Registration {
  const username = parts.username ?? `person-${++people}`;
  return { username, email: `${username}@example.com`, password, ...parts };
}

export async function openAccounts(
  t: Cleanup,
  settings: Readonly<Record<string, string>> = {},
): Promise<Accounts> {
  // Tests send faster than people do.
  const rates = { RATE_LIMIT_REGISTER: "100/1000", RATE_LIMIT_PERSON: "10000/100000" };
  const app = await startTestApp(t, { JWT_SECRET: jwtSecret, ...rates, ...settings });
  const post: Accounts["post"] = (path, json, key) =>
    app.request("POST", path, { json, ...(key === undefined ? {} : { key }) });
  return {
    ...app,
    admin: await app.key(["admin"]),
    post,
    register: async (parts) => {
      const answer = await post("/api/v1/auth/register", newcomer(parts));
      assert.equal(answer.status, 201, answer.text);
      return signedInOf(answer);
    },
    login: (login, password) => post("/api/v1/auth/login", { login, password }),
    refresh: (token) => post("/api/v1/auth/refresh", { refresh_token: token }),
  };
}

/** The answer to a sign-in, which nobody may keep. */
export function signedInOf(answer: Answer): SignedIn {
  assert.ok(answer.status === 200 || answer.status === 201, answer.text);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return answer.as(SignedIn) as SignedIn;
}

/** What a token says, without asking whether it is true. */
export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<
    string,
    unknown
  >;
}
