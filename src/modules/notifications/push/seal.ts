import { Lru } from "../../../lib/lru.ts";
import type { PushCall } from "./call.ts";
import type { Vapid } from "./vapid.ts";

/** How long a signature is used for further calls of the same push service, milliseconds; it is good for twelve hours. */
const signedForMs = 3_600_000;
/** Push services whose signature is remembered. */
const signedMax = 100;
/** Longest time that push services keep something for a browser that is away, seconds: some refuse a longer one. */
export const pushTtlMaxS = 2_419_200;

export type Addressee = {
  readonly endpoint: string;
  readonly p256dh: Buffer;
  readonly auth: Buffer;
};

export type Push = {
  readonly payload: string;
  /** How long it is worth being kept, seconds. */
  readonly ttlS: number;
  readonly critical: boolean;
};

/** Encrypts a push for its browser (RFC 8291), signs it for its push service (RFC 8292), and says what to call. */
export type Seal = (to: Addressee, push: Push) => PushCall;

/** `now`: milliseconds of a clock that only grows. */
export async function createSeal(vapid: Vapid, now: () => number = () => performance.now()): Promise<Seal> {
  const { default: webPush } = await import("web-push");
  const signed = new Lru<string, { readonly authorization: string; readonly atMs: number }>(signedMax);

  const authorizationFor = (origin: string): string => {
    const known = signed.get(origin);
    if (known !== undefined && now() - known.atMs < signedForMs) return known.authorization;
    const { subject, publicKey, privateKey } = vapid;
    const { Authorization: authorization } = webPush.getVapidHeaders(
      origin,
      subject,
      publicKey,
      privateKey,
      "aes128gcm",
    );
    signed.set(origin, { authorization, atMs: now() });
    return authorization;
  };

  return ({ endpoint, p256dh, auth }, { payload, ttlS, critical }) => {
    const { cipherText: body } = webPush.encrypt(
      p256dh.toString("base64url"),
      auth.toString("base64url"),
      payload,
      "aes128gcm",
    );
    return {
      endpoint,
      body,
      headers: {
        Authorization: authorizationFor(new URL(endpoint).origin),
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "Content-Length": body.length,
        TTL: Math.min(Math.max(1, ttlS), pushTtlMaxS),
        Urgency: critical ? "high" : "normal",
      },
    };
  };
}
