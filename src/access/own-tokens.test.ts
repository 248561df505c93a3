import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { SignJWT } from "jose";
import { uuidv7 } from "../../protocol/ids.ts";
import { accessTokenS, createAccessTokens } from "./access-tokens.ts";
import { ownName } from "./own-name.ts";
import { createOwnTokens } from "./own-tokens.ts";

const secret = "a secret of this server, and of nobody else";
const nowS = 1_795_000_000;
const nowMs = nowS * 1_000;
const read = createOwnTokens(secret);
const issue = (by = secret) =>
  createAccessTokens(by, { now: () => nowMs }).issue(
    { id: 7, username: "маша".normalize(), role: "user" },
    uuidv7(),
  );

test("what this server issues is recognised until the moment of its end, and not from then on", async () => {
  const token = await issue();
  const endMs = (nowS + accessTokenS) * 1_000;
  for (const atMs of [nowMs, endMs - 1]) assert.equal(read(token, atMs)?.sub, "7");
  assert.equal(read(token, endMs), undefined);
});

test("a token in which anything was changed, added or left out is not recognised", async () => {
  const token = await issue();
  const place = fc.nat(token.length - 1);
  const letter = fc.constantFrom("A", "x", "Q", "0", "9", "-", "_", ".", "=", " ");
  fc.assert(
    fc.property(place, letter, fc.constantFrom("change", "add", "leave out"), (at, put, how) => {
      const rest = token.slice(how === "add" ? at : at + 1);
      const changed = token.slice(0, at) + (how === "leave out" ? "" : put) + rest;
      if (changed !== token) assert.equal(read(changed, nowMs), undefined, changed);
    }),
    { numRuns: 2_000 },
  );
  for (const odd of [
    "",
    ".",
    "..",
    "...",
    `${token}.`,
    `.${token}`,
    token.slice(0, token.lastIndexOf(".")),
  ]) {
    assert.equal(read(odd, nowMs), undefined, odd);
  }
});

test("another secret, another issuer or audience, another header, or a time to come is not this server's", async () => {
  assert.equal(read(await issue("another secret, as long as the first one"), nowMs), undefined);
  const key = new TextEncoder().encode(secret);
  const sign = (claims: Record<string, unknown>, header: Record<string, string> = {}) =>
    new SignJWT({ iss: ownName, aud: ownName, sub: "7", exp: nowS + 60, ...claims })
      .setProtectedHeader({ alg: "HS256", typ: "JWT", ...header })
      .sign(key);
  assert.equal(read(await sign({}), nowMs)?.sub, "7");
  const others = [
    sign({ iss: "somebody" }),
    sign({ aud: "somebody" }),
    sign({ aud: [ownName] }),
    sign({ sub: undefined }),
    sign({ exp: undefined }),
    sign({ nbf: nowS - 1 }),
    sign({ iat: "x" }),
    sign({}, { kid: "1" }),
    sign({}, { alg: "HS512" }),
  ];
  for (const token of await Promise.all(others)) assert.equal(read(token, nowMs), undefined);
});

test("rubbish that is rightly signed is not recognised, and does no harm", () => {
  const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString("base64url");
  for (const payload of ["not json", "null", "1", '"x"', "[]", "", "{"]) {
    const signed = `${header}.${Buffer.from(payload).toString("base64url")}`;
    const signature = createHmac("sha256", secret).update(signed).digest("base64url");
    assert.equal(read(`${signed}.${signature}`, nowMs), undefined, payload);
  }
});
