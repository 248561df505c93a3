import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { createRefreshTokens } from "./refresh-tokens.ts";

const secret = "a secret of at least thirty-two characters";
const tokens = createRefreshTokens(secret);
const claims = fc.record(
  { sessionId: fc.uuid({ version: 7 }), number: fc.integer({ min: 1, max: 999_999_999 }) },
  { noNullPrototype: true },
);

test("a token says what was written, always in the same words", () => {
  fc.assert(
    fc.property(claims, (claim) => {
      const token = tokens.write(claim);
      assert.match(token, /^tdr_/);
      assert.equal(tokens.write(claim), token);
      assert.deepEqual(tokens.read(token), claim);
    }),
  );
});

test("a token of which one character was changed, removed or added says nothing", () => {
  fc.assert(
    fc.property(
      claims,
      fc.nat(),
      fc.constantFrom("0", "1", "9", "a", "f", "Z", "-", ".", ""),
      (claim, at, other) => {
        const token = tokens.write(claim);
        // The last character of the MAC holds two bits that count for nothing.
        const place = at % (token.length - 1);
        const changed = token.slice(0, place) + other + token.slice(place + 1);
        fc.pre(changed !== token);
        assert.equal(tokens.read(changed), undefined);
      },
    ),
  );
});

test("what another secret, or the secret itself, has signed says nothing", () => {
  const claim = { sessionId: "0198c0de-0000-7000-8000-000000000001", number: 1 };
  assert.equal(
    tokens.read(createRefreshTokens("another secret of thirty-two characters").write(claim)),
    undefined,
  );
  const mac = createHmac("sha256", secret).update(`${claim.sessionId}.1`).digest("base64url");
  assert.equal(tokens.read(`tdr_${claim.sessionId}.1.${mac}`), undefined);
  for (const text of ["", "tdr_", "x".repeat(10_000), "a.b.c"]) assert.equal(tokens.read(text), undefined);
});
