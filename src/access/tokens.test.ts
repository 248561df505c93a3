import assert from "node:assert/strict";
import { test } from "node:test";
import { SignJWT, generateKeyPair } from "jose";
import { pino } from "pino";
import { uuidv7 } from "../../protocol/ids.ts";
import { checkEntries } from "../eventlog/check-entries.ts";
import type { JsonText } from "../eventlog/eventlog.ts";
import { AppError } from "../lib/errors.ts";
import { actorName } from "./actor.ts";
import { type TokenRules, createTokens } from "./tokens.ts";

const nowMs = 1_800_000_000_000;
const nowS = nowMs / 1_000;
const clock = { now: () => nowMs };
const log = pino({ level: "silent" });
const secret = "a secret of at least thirty-two characters";

function tokens(rules: TokenRules = { secret }) {
  return createTokens(rules, { clock, log });
}

function sign(claims: Record<string, unknown>, alg = "HS256", key = secret): Promise<string> {
  return new SignJWT({ sub: "7", exp: nowS + 60, ...claims })
    .setProtectedHeader({ alg })
    .sign(new TextEncoder().encode(key));
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function refused(detail: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "unauthorized");
    assert.match(error.message, detail);
    return true;
  };
}

test("a valid token becomes a person with the scopes that this server knows", async () => {
  const actor = await tokens().verify(
    await sign({ scope: "inbox:read fly:moon", scopes: ["stats:read", 5] }),
  );
  assert.deepEqual(actor, { kind: "user", id: "7", scopes: new Set(["inbox:read", "stats:read"]) });
});

test("the role admin, alone or in a list, gives the scope admin", async () => {
  for (const claims of [{ role: "admin" }, { roles: ["operator", "admin"] }]) {
    assert.deepEqual((await tokens().verify(await sign(claims))).scopes, new Set(["admin"]));
  }
  assert.deepEqual((await tokens().verify(await sign({ role: "operator" }))).scopes, new Set());
});

test("an expired token is refused, with 5 s of tolerance for clocks that differ", async () => {
  await tokens().verify(await sign({ exp: nowS - 4 }));
  await assert.rejects(tokens().verify(await sign({ exp: nowS - 6 })), refused(/has expired/));
});

test("a token that is not valid yet is refused, with the same tolerance", async () => {
  await tokens().verify(await sign({ nbf: nowS + 4 }));
  await assert.rejects(tokens().verify(await sign({ nbf: nowS + 60 })), refused(/not valid yet/));
});

test("a token must expire and have a subject", async () => {
  await assert.rejects(tokens().verify(await sign({ exp: undefined })), refused(/lacks the claim "exp"/));
  await assert.rejects(tokens().verify(await sign({ sub: undefined })), refused(/lacks the claim "sub"/));
  await assert.rejects(tokens().verify(await sign({ sub: "" })), refused(/subject/));
});

test("a subject is one that an entry of the log can name: whatever else it is, the token is refused", async () => {
  const longest = "x".repeat(195);
  const actor = await tokens().verify(await sign({ sub: longest }));
  assert.equal(actorName(actor), `user:${longest}`);
  checkEntries([
    { id: uuidv7(), topic: "user/7", type: "test", actor: actorName(actor), data: "{}" as JsonText },
  ]);
  for (const sub of [`${longest}x`, "a\u001eb", "a\nb", "a\u0085b", "a\ud800", 7, ["7"]]) {
    await assert.rejects(tokens().verify(await sign({ sub })), refused(/subject|"sub"/), JSON.stringify(sub));
  }
});

test("a tampered token and one of another secret are refused", async () => {
  const [header, , signature] = (await sign({})).split(".");
  const tampered = [header, encode({ sub: "1", exp: nowS + 60, role: "admin" }), signature].join(".");
  await assert.rejects(tokens().verify(tampered), refused(/signature does not match/));
  const foreign = await sign({}, "HS256", "another secret of thirty-two characters");
  await assert.rejects(tokens().verify(foreign), refused(/signature does not match/));
});

test("an unsigned token is refused, however it writes its algorithm", async () => {
  for (const alg of ["none", "None", "NONE"]) {
    const unsigned = `${encode({ alg })}.${encode({ sub: "7", exp: nowS + 60, role: "admin" })}.`;
    await assert.rejects(tokens().verify(unsigned), refused(/algorithm is not accepted/));
    const jwksUrl = new URL("http://127.0.0.1:1/");
    await assert.rejects(tokens({ jwksUrl }).verify(unsigned), refused(/algorithm is not accepted/));
  }
});

test("only HS256 goes with a secret", async () => {
  const longKey = "k".repeat(64);
  await assert.rejects(
    tokens({ secret: longKey }).verify(await sign({}, "HS512", longKey)),
    refused(/algorithm is not accepted/),
  );
  const { privateKey } = await generateKeyPair("ES256");
  const asymmetric = await new SignJWT({ sub: "7", exp: nowS + 60 })
    .setProtectedHeader({ alg: "ES256" })
    .sign(privateKey);
  await assert.rejects(tokens().verify(asymmetric), refused(/algorithm is not accepted/));
});

test("issuer and audience are required once they are configured, and not told to strangers", async () => {
  const rules = { secret, issuer: "https://login.example", audience: "tidings" };
  await tokens(rules).verify(await sign({ iss: "https://login.example", aud: ["other", "tidings"] }));
  await assert.rejects(
    tokens(rules).verify(await sign({ iss: "https://evil.example", aud: "tidings" })),
    (error: unknown) => refused(/another issuer/)(error) && !String(error).includes("login.example"),
  );
  await assert.rejects(
    tokens(rules).verify(await sign({ iss: "https://login.example", aud: "shop" })),
    refused(/another audience/),
  );
  await assert.rejects(
    tokens(rules).verify(await sign({ aud: "tidings" })),
    refused(/lacks the claim "iss"/),
  );
});

test("what is no token at all is refused", async () => {
  const [header, payload] = (await sign({})).split(".");
  for (const text of ["", "x", "a.b.c", `${header}.${payload}`, `${header}.%%%.x`, "x".repeat(10_000)]) {
    await assert.rejects(tokens().verify(text), refused(/neither an API key nor a JWT|too long/));
  }
});

test("without a secret and a key set no token is accepted", async () => {
  await assert.rejects(tokens({}).verify(await sign({})), refused(/algorithm is not accepted/));
});
