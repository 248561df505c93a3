import { hash, timingSafeEqual } from "node:crypto";
import type { SourceScheme } from "../../protocol/inbox.ts";
import { AppError } from "../lib/errors.ts";
import { Lru } from "../lib/lru.ts";
import { type HmacKey, hmacKey, hmacSha256 } from "./hmac.ts";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** The headers that prove a sender, and what they hold. */
export const signatureHeaders = {
  "webhook-id": "scheme standard: the id of the message, which is signed with it",
  "webhook-timestamp": "scheme standard: when it was sent, unix seconds",
  "webhook-signature": "scheme standard: `v1,` and the signature in base64; up to five, separated by spaces",
  "X-Hub-Signature-256": "scheme hub: `sha256=` and the HMAC of the body in lower-case hexadecimal digits",
  "X-Telegram-Bot-Api-Secret-Token": "scheme telegram: the secret itself",
} as const;

/** Throws `AppError` `signature_invalid` unless the body, byte for byte, is what was signed. */
export type VerifyBody = (body: Buffer) => void;

export type SignatureRules = {
  readonly scheme: Exclude<SourceScheme, "api_key">;
  /** Every secret that is good right now: two during a rotation. */
  readonly secrets: readonly string[];
  /** How far the timestamp of the message may lie from `nowS`, in either direction, seconds. */
  readonly toleranceS: number;
  /** Unix seconds. */
  readonly nowS: number;
};

/**
 * What the headers alone tell: throws `AppError` `signature_missing`, `signature_invalid` or `signature_expired` unless
 * they can belong to a request of somebody who knows one of the secrets. The answer checks the rest, the body; it is
 * undefined when there is no more to check. Comparisons take the same time wherever they differ.
 */
export function requireSignature(headers: Headers, rules: SignatureRules): VerifyBody | undefined {
  switch (rules.scheme) {
    case "standard":
      return requireStandard(headers, rules);
    case "hub":
      return requireHub(headers, rules);
    case "telegram":
      requireToken(headers, rules);
      return undefined;
    default:
      throw new TypeError(`unknown scheme ${String(rules.scheme satisfies never)}`);
  }
}

/** Standard Webhooks 1.0: HMAC-SHA256 of `id.timestamp.body`, one or several `v1,<base64>` separated by spaces. */
function requireStandard(headers: Headers, rules: SignatureRules): VerifyBody {
  const messageId = header(headers, "webhook-id");
  const timestamp = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature");
  if (!/^\d{1,12}$/.test(timestamp)) {
    throw new AppError("signature_invalid", { detail: "webhook-timestamp must be unix seconds" });
  }
  if (Math.abs(rules.nowS - Number(timestamp)) > rules.toleranceS) {
    throw new AppError("signature_expired", {
      detail: `webhook-timestamp differs from the server's clock by more than ${rules.toleranceS} s`,
    });
  }
  const given = signatures.split(" ", signaturesMax).filter((signature) => signature.startsWith("v1,"));
  if (given.length === 0) throw new AppError("signature_invalid");
  // Header values are latin1: one byte a character.
  const prefix = `${messageId}.${timestamp}.`;
  return (body) => {
    const valid = rules.secrets.some((secret) => {
      const expected = `v1,${hmacSha256(keyOf("standard", secret), prefix, body, "base64")}`;
      return given.some((signature) => equal(signature, expected));
    });
    if (!valid) throw new AppError("signature_invalid");
  };
}

/** Signatures that are looked at; a sender that rotates its key sends two. */
const signaturesMax = 5;

/** `X-Hub-Signature-256: sha256=<hex>` over the body. It carries no time: repetitions are recognised by their id. */
function requireHub(headers: Headers, rules: SignatureRules): VerifyBody {
  const given = header(headers, "x-hub-signature-256");
  if (!given.startsWith("sha256=")) throw new AppError("signature_invalid");
  return (body) => {
    const valid = rules.secrets.some((secret) =>
      equal(given, `sha256=${hmacSha256(keyOf("hub", secret), "", body, "hex")}`),
    );
    if (!valid) throw new AppError("signature_invalid");
  };
}

function requireToken(headers: Headers, rules: SignatureRules): void {
  const given = header(headers, "x-telegram-bot-api-secret-token");
  // Hashes have one length, whatever the token's is.
  const digest = hash("sha256", given, "hex");
  if (!rules.secrets.some((secret) => equal(digest, hash("sha256", secret, "hex"))))
    throw new AppError("signature_invalid");
}

function header(headers: Headers, name: string): string {
  const value = headers[name];
  if (typeof value !== "string" || value === "") {
    throw new AppError("signature_missing", { detail: `these webhooks are signed: ${name} is missing` });
  }
  return value;
}

const keys = { standard: new Lru<string, HmacKey>(1_000), hub: new Lru<string, HmacKey>(1_000) };

/** The key of a secret: its bytes, and for Standard Webhooks what its base64 stands for. */
function keyOf(scheme: "standard" | "hub", secret: string): HmacKey {
  let key = keys[scheme].get(secret);
  if (key === undefined) {
    const bytes =
      scheme === "standard" ? Buffer.from(secret.replace(/^whsec_/, ""), "base64") : Buffer.from(secret);
    key = hmacKey(bytes);
    keys[scheme].set(secret, key);
  }
  return key;
}

/** Longest digest that is compared, in characters: `sha256=` and 64 hexadecimal digits. */
const digestLengthMax = 71;
const left = Buffer.alloc(digestLengthMax);
const right = Buffer.alloc(digestLengthMax);

/** Takes the same time wherever two texts of one length differ. */
function equal(given: string, expected: string): boolean {
  if (given.length !== expected.length || expected.length > digestLengthMax) return false;
  // What a longer text left behind is overwritten on both sides or compared on both.
  left.fill(0).write(given, "latin1");
  right.fill(0).write(expected, "latin1");
  return timingSafeEqual(left, right);
}
