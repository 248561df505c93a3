import { isIP, isIPv6 } from "node:net";
import { limits } from "../protocol/limits.ts";
import { providerPattern, providerRule } from "../protocol/wallet.ts";
import { isStandardSecret, standardSecretRule } from "./access/standard-secret.ts";
import { scaleMax } from "./ledger/money.ts";
import type { DbAddress } from "./lib/db.ts";

/** Parsers of option texts. Each throws an `Error` whose message completes the sentence "NAME: …". */

export type Rate = { readonly perSecond: number; readonly burst: number };

export function text(value: string): string {
  return value;
}

export function list(value: string): readonly string[] {
  return value
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

const namedNetworks = new Set(["loopback", "linklocal", "uniquelocal"]);

/** A name or an address; an IPv6 address may stand in brackets, as it does in URLs. */
export function host(value: string): string {
  const bare = /^\[(.+)\]$/.exec(value)?.[1];
  return bare !== undefined && isIPv6(bare) ? bare : value;
}

/** Addresses and networks, such as "10.0.0.0/8, ::1", and the names that stand for some of them. */
export function networks(value: string): readonly string[] {
  const items = list(value);
  const wrong = items.find((item) => !namedNetworks.has(item) && !isAddressOrNetwork(item));
  if (wrong !== undefined) {
    throw new Error(`must list addresses or networks such as 10.0.0.0/8, and "${wrong}" is neither`);
  }
  return items;
}

function isAddressOrNetwork(item: string): boolean {
  const [address = "", prefix, ...rest] = item.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

export function count(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < min || number > max) {
      throw new Error(`must be a whole number from ${min} to ${max}, and "${value}" is not`);
    }
    return number;
  };
}

export function port(value: string): number {
  return count(0, 65_535)(value);
}

/** A port, or undefined for "off". */
export function portOrOff(value: string): number | undefined {
  return value === "off" ? undefined : port(value);
}

export function onOff(value: string): boolean {
  if (value === "on" || value === "true" || value === "1") return true;
  if (value === "off" || value === "false" || value === "0") return false;
  throw new Error(`must be on or off, and "${value}" is neither`);
}

export function word<T extends string>(words: readonly T[]): (value: string) => T {
  return (value) => {
    const found = words.find((item) => item === value.toLowerCase());
    if (found === undefined) throw new Error(`must be one of ${words.join(", ")}, and "${value}" is not`);
    return found;
  };
}

export function words<T extends string>(allowed: readonly T[]): (value: string) => readonly T[] {
  return (value) => {
    const found = list(value).map(word(allowed));
    if (found.length === 0) throw new Error(`must name at least one of ${allowed.join(", ")}`);
    return [...new Set(found)];
  };
}

/** "100" or "100/500": tokens per second, and how many may be taken at once. */
export function rate(value: string): Rate {
  const match = /^(\d+(?:\.\d+)?)(?:\/(\d+))?$/.exec(value);
  const perSecond = Number(match?.[1]);
  const burst = match?.[2] === undefined ? Math.ceil(perSecond) : Number(match[2]);
  if (match === null || perSecond <= 0 || burst < 1) {
    throw new Error(`must be a rate per second, or rate/burst such as 100/500, and "${value}" is not`);
  }
  return { perSecond, burst };
}

export type Ttls = { readonly defaultS: number; readonly bySource: ReadonlyMap<string, number> };

/** "900" or "900,billing=86400": seconds, and those of sources that have their own. */
export function ttls(value: string): Ttls {
  const seconds = count(1, limits.notificationTtlS);
  let defaultS: number = limits.notificationTtlDefaultS;
  const bySource = new Map<string, number>();
  for (const item of list(value)) {
    const at = item.lastIndexOf("=");
    if (at === -1) defaultS = seconds(item);
    else if (at === 0) throw new Error(`must name the source before "=", and "${item}" does not`);
    else bySource.set(item.slice(0, at), seconds(item.slice(at + 1)));
  }
  return { defaultS, bySource };
}

/**
 * Origins of pages, as browsers write them: "https://app.example.org, capacitor://localhost". `*` stands for all, and
 * alone.
 */
export function origins(value: string): readonly string[] {
  const items = list(value);
  if (items.includes("*") && items.length > 1) throw new Error("must be * alone, or origins without it");
  const wrong = items.find((item) => item !== "*" && !isOrigin(item));
  if (wrong === undefined) return items;
  throw new Error(
    `must list origins such as https://app.example.org, in lower case, without a path and a usual port, and "${wrong}" is none`,
  );
}

function isOrigin(item: string): boolean {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/.test(item) || !URL.canParse(item)) return false;
  const { protocol, origin } = new URL(item);
  // Of schemes that only apps have, the URL standard knows no origin.
  return (protocol !== "http:" && protocol !== "https:") || origin === item;
}

export function secret(minLength: number): (value: string) => string {
  return (value) => {
    if (value.length < minLength) throw new Error(`must have at least ${minLength} characters`);
    return value;
  };
}

/** A currency, and how many decimals its major unit has. */
export type Currency = { readonly code: string; readonly scale: number };

/** A currency of which Intl knows how many decimals it has. */
export function currency(value: string): Currency {
  if (Intl.supportedValuesOf("currency").includes(value)) {
    const format = new Intl.NumberFormat("en", { style: "currency", currency: value });
    const { maximumFractionDigits: scale = 0 } = format.resolvedOptions();
    if (scale <= scaleMax) return { code: value, scale };
  }
  throw new Error(`must be a currency as ISO 4217 has it, such as USD, and "${value}" is none`);
}

/** By the providers' names, what is good right now. */
export type PaymentSecrets = ReadonlyMap<string, readonly string[]>;

/** Secrets of one provider: the one that goes and the one that comes. */
const secretsPerProvider = 2;

/** "shop:whsec_…,shop:whsec_…,other:whsec_…". No error repeats what may be a secret. */
export function paymentSecrets(value: string): PaymentSecrets {
  const found = new Map<string, readonly string[]>();
  const known = new Set<string>();
  for (const [i, item] of list(value).entries()) {
    const place = `number ${i + 1}`;
    const [provider = "", ...rest] = item.split(":");
    const own = rest.join(":");
    if (rest.length === 0 || !new RegExp(providerPattern).test(provider))
      throw new Error(`must name a provider before ":", by ${providerRule}, and ${place} does not`);
    if (!isStandardSecret(own))
      throw new Error(`must have ${standardSecretRule} behind the provider, and ${place} has not`);
    const bytes = Buffer.from(own.replace("whsec_", ""), "base64").toString("base64");
    // What one provider signs must not be good as an event of another: it would be credited twice.
    if (known.has(bytes)) throw new Error(`must not have a secret twice, and ${place} has one again`);
    known.add(bytes);
    found.set(provider, [...(found.get(provider) ?? []), own]);
  }
  const [tooMany] = [...found].find(([, secrets]) => secrets.length > secretsPerProvider) ?? [];
  if (tooMany === undefined) return found;
  throw new Error(`must have at most ${secretsPerProvider} secrets of a provider, and "${tooMany}" has more`);
}

/** So many bytes in base64url; the padding, if there is any, is dropped. No error repeats the text, which may be secret. */
export function base64url(bytes: number): (value: string) => string {
  return (value) => {
    const decoded = Buffer.from(value, "base64url");
    const text = decoded.toString("base64url");
    if (decoded.length !== bytes || text !== value.replace(/=+$/, "")) {
      throw new Error(`must be ${bytes} bytes in base64url`);
    }
    return text;
  };
}

/** Where somebody can be written to, as RFC 8292 has it. */
export function contact(value: string): string {
  const { protocol } = URL.canParse(value) ? new URL(value) : { protocol: undefined };
  if (protocol === "https:" || /^mailto:[^@\s]+@[^@\s]+$/.test(value)) return value;
  throw new Error("must be mailto: with an address, or a URL that starts with https://");
}

/** Hosts as URLs have them, "*." before one standing for all below it: "fcm.googleapis.com, *.example.org, 10.0.0.7". */
export function hosts(value: string): readonly string[] {
  const items = list(value);
  const wrong = items.find((item) => !isHost(item.startsWith("*.") ? item.slice(2) : item));
  if (wrong === undefined) return items;
  throw new Error(
    `must list hosts such as fcm.googleapis.com or *.example.org, in lower case and without a port, and "${wrong}" is none`,
  );
}

function isHost(item: string): boolean {
  const url = `https://${item}/`;
  // The URL standard lets a name have a "*", which here would look as if it meant something.
  return !item.includes("*") && URL.canParse(url) && new URL(url).hostname === item;
}

/** An address that can be fetched. */
export function httpUrl(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    throw new Error("must be a URL that starts with https:// or http://");
  }
  return url;
}

/** A PostgreSQL connection URL. Its password may hold anything, so no error repeats the text. */
export function databaseUrl(value: string): DbAddress {
  const wrong = "must look like postgres://user:password@host:5432/name";
  if (!URL.canParse(value)) throw new Error(wrong);
  const parsed = new URL(value);
  if (parsed.protocol !== "postgres:" && parsed.protocol !== "postgresql:") throw new Error(wrong);
  const [hostname, database, user, password] = [
    parsed.hostname,
    parsed.pathname.slice(1),
    parsed.username,
    parsed.password,
  ].map(decoded);
  if (hostname === undefined || database === undefined || user === undefined || password === undefined) {
    throw new Error(`${wrong}, and must not have a "%" that begins no two hexadecimal digits of UTF-8`);
  }
  const host = parsed.searchParams.get("host") ?? hostname;
  if (host === "" || database === "") throw new Error(wrong);
  const ssl = sslOf(parsed.searchParams.get("sslmode"));
  return {
    host,
    port: parsed.port === "" ? 5432 : Number(parsed.port),
    user: user === "" ? "postgres" : user,
    database,
    ...(password === "" ? {} : { password }),
    ...(ssl === undefined ? {} : { ssl }),
  };
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function sslOf(mode: string | null): DbAddress["ssl"] {
  if (mode === null || mode === "disable" || mode === "prefer" || mode === "allow") return undefined;
  if (mode === "require" || mode === "no-verify") return { rejectUnauthorized: false };
  if (mode === "verify-ca" || mode === "verify-full") return { rejectUnauthorized: true };
  throw new Error(`sslmode must be disable, require or verify-full, and "${mode}" is not`);
}
