import { hash } from "node:crypto";

const blockBytes = 64;
const digestBytes = 32;

/** A secret, ready for use: its block XORed with the two constants of RFC 2104. */
export type HmacKey = {
  readonly inner: Buffer;
  /** The block, and behind it room for the inner hash. */
  readonly outer: Buffer;
};

export function hmacKey(secret: Buffer): HmacKey {
  const block = Buffer.alloc(blockBytes);
  (secret.length > blockBytes ? hash("sha256", secret, "buffer") : secret).copy(block);
  const outer = Buffer.alloc(blockBytes + digestBytes);
  outer.set(block.map((byte) => byte ^ 0x5c));
  return { inner: block.map((byte) => byte ^ 0x36) as Buffer, outer };
}

/** Where messages are put together: nothing waits in between, so one is enough. Larger ones get a place of their own. */
const scratch = Buffer.allocUnsafeSlow(16_384);

/**
 * HMAC-SHA256 of `prefix` (latin1) and `body` by two one-shot hashes that allocate nothing but their answers: as bytes
 * the inner one would be an ArrayBuffer, which costs as much as the hashing. `createHmac` wraps its key in a key object
 * on every call, which costs several times that.
 */
export function hmacSha256(key: HmacKey, prefix: string, body: Buffer, encoding: "hex" | "base64"): string {
  const length = blockBytes + prefix.length + body.length;
  const message = length <= scratch.length ? scratch : Buffer.allocUnsafe(length);
  key.inner.copy(message);
  message.write(prefix, blockBytes, "latin1");
  body.copy(message, blockBytes + prefix.length);
  key.outer.write(hash("sha256", message.subarray(0, length), "binary"), blockBytes, "latin1");
  return hash("sha256", key.outer, encoding);
}
