import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { hmacKey, hmacSha256 } from "./hmac.ts";

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const encoding = fc.constantFrom("hex" as const, "base64" as const);
const ascii = fc.string({ unit: "binary-ascii", maxLength: 100 });

test("the short way to an HMAC gives what the long way gives", () => {
  fc.assert(
    fc.property(bytes, ascii, bytes, encoding, (key, prefix, body, form) => {
      const expected = createHmac("sha256", key).update(prefix).update(body).digest(form);
      assert.equal(hmacSha256(hmacKey(key), prefix, body, form), expected);
    }),
  );
});

test("RFC 4231, test case 2", () => {
  assert.equal(
    hmacSha256(hmacKey(Buffer.from("Jefe")), "what do ya want ", Buffer.from("for nothing?"), "hex"),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});
