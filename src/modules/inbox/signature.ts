import { hash, timingSafeEqual } from "node:crypto";
import type { SourceScheme } from "../../../protocol/inbox.ts";
import { AppError } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";
import { type HmacKey, hmacKey, hmacSha256 } from "./hmac.ts";

/** The parts of a request that a signature speaks about. */
export type SignedRequest = {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
};

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
 * Throws `AppError` `signature_missing`, `signature_invalid` or `signature_expired` unless the request was signed by
 * somebody who knows one of the secrets. Comparisons take the same time wherever they differ.
 */
export function requireSignature(request: SignedRequest, rules: SignatureRules): void {
  switch (rules.scheme) {
    case "standard":
      requireStandard(request, rules);
      return;
    case "hub":
      requireHub(request, rules);
      return;
    case "telegram":
      requireToken(request, rules);
      return;
    default:
      throw new TypeError(`unknown scheme ${String(rules.scheme satisfies never)}`);
  }
}

/** Standard Webhooks 1.0: HMAC-SHA256 of `id.timestamp.body`, one or several `v1,<base64>` separated by spaces. */
function requireStandard({ headers, body }: SignedRequest, rules: SignatureRules): void {
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
  const given = signatures
    .split(" ", signaturesMax)
    .filter((signature) => signature.startsWith("v1,"))
    .map((signature) => signature.slice(3));
  // Header values are latin1: one byte a character.
  const prefix = `${messageId}.${timestamp}.`;
  const valid = rules.secrets.some((secret) => {
    const expected = hmacSha256(keyOf("standard", secret), prefix, body, "base64");
    return given.some((signature) => equal(signature, expected));
  });
  if (!valid) throw new AppError("signature_invalid");
}

/** Signatures that are looked at; a sender that rotates its key sends two. */
const signaturesMax = 5;

/** `X-Hub-Signature-256: sha256=<hex>` over the body. It carries no time: repetitions are recognised by their id. */
function requireHub({ headers, body }: SignedRequest, rules: SignatureRules): void {
  const given = header(headers, "x-hub-signature-256");
  const valid = rules.secrets.some((secret) =>
    equal(given, `sha256=${hmacSha256(keyOf("hub", secret), "", body, "hex")}`),
  );
  if (!valid) throw new AppError("signature_invalid");
}

function requireToken({ headers }: SignedRequest, rules: SignatureRules): void {
  const given = header(headers, "x-telegram-bot-api-secret-token");
  // Hashes have one length, whatever the token's is.
  const digest = hash("sha256", given, "hex");
  if (!rules.secrets.some((secret) => equal(digest, hash("sha256", secret, "hex"))))
    throw new AppError("signature_invalid");
}

function header(headers: SignedRequest["headers"], name: string): string {
  const value = headers[name];
  if (typeof value !== "string" || value === "") {
    throw new AppError("signature_missing", { detail: `this source signs its webhooks: ${name} is missing` });
  }
  return value;
}

const keys = new Lru<string, HmacKey>(1_000);

/** The key of a secret: its bytes, and for Standard Webhooks what its base64 stands for. */
function keyOf(scheme: "standard" | "hub", secret: string): HmacKey {
  const name = `${scheme} ${secret}`;
  let key = keys.get(name);
  if (key === undefined) {
    const bytes =
      scheme === "standard" ? Buffer.from(secret.replace(/^whsec_/, ""), "base64") : Buffer.from(secret);
    key = hmacKey(bytes);
    keys.set(name, key);
  }
  return key;
}

function equal(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
