import type { Account } from "../protocol/accounts.ts";

/** What is kept of a sign-in, and under which keys. */

export const sessionKey = "session";
/** Of its own, so that whoever stores a new name puts no token back that another tab has renewed. */
export const describedKey = "session.person";
/** A person as the server told of them when it was asked at `askedAt`, Unix milliseconds by this device's clock. */
export type Described = { readonly account: Account; readonly askedAt: number };

export type Kept = Described & {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Unix milliseconds by this device's clock. */
  readonly expiresAt: number;
};

export type Stored = { readonly kept: Kept | undefined; readonly described: Described | undefined };

export function parseStored(texts: ReadonlyMap<string, string>): Stored {
  return { kept: parseKept(texts.get(sessionKey)), described: parseDescribed(texts.get(describedKey)) };
}

export function isSame(one: object | undefined, other: object | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Undefined for what this version did not write. */
function parseKept(text: string | undefined): Kept | undefined {
  const { accessToken, refreshToken, askedAt = 0, ...rest } = parseObject<Kept>(text);
  return typeof accessToken === "string" && typeof refreshToken === "string" && rest.account !== undefined
    ? ({ accessToken, refreshToken, ...rest, askedAt } as Kept)
    : undefined;
}

function parseDescribed(text: string | undefined): Described | undefined {
  const { account, askedAt } = parseObject<Described>(text);
  return account !== undefined && typeof askedAt === "number" ? { account, askedAt } : undefined;
}

function parseObject<T>(text = ""): Partial<T> {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
