import { hash } from "node:crypto";

const blockBytes = 64;

/** A secret, ready for use: its block XORed with the two constants of RFC 2104. */
export type HmacKey = { readonly inner: Buffer; readonly outer: Buffer };

export function hmacKey(secret: Buffer): HmacKey {
  const block = Buffer.alloc(blockBytes);
  (secret.length > blockBytes ? hash("sha256", secret, "buffer") : secret).copy(block);
  return {
    inner: block.map((byte) => byte ^ 0x36) as Buffer,
    outer: block.map((byte) => byte ^ 0x5c) as Buffer,
  };
}

/**
 * HMAC-SHA256 of `prefix` (ASCII) and `body` by two one-shot hashes. `createHmac` wraps its key in a key object on
 * every call, which costs several times the hashing itself on messages of webhook size.
 */
export function hmacSha256(key: HmacKey, prefix: string, body: Buffer, encoding: "hex" | "base64"): string {
  const message = Buffer.allocUnsafe(blockBytes + prefix.length + body.length);
  key.inner.copy(message);
  message.write(prefix, blockBytes, "latin1");
  body.copy(message, blockBytes + prefix.length);
  return hash("sha256", Buffer.concat([key.outer, hash("sha256", message, "buffer")]), encoding);
}
