import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { SignJWT, generateKeyPair } from "jose";
import { pino } from "pino";
import { AppError } from "../lib/errors.ts";
import { accessTokenS, createAccessTokens } from "./access-tokens.ts";
import { actorName } from "./actor.ts";
import { createEndedSessions } from "./ended-sessions.ts";
import type { KnownPerson, OutsideIdentity } from "./token-claims.ts";
import { type TokenRules, createTokens, goodTokensMax, tokenLengthMax } from "./tokens.ts";

const nowMs = 1_800_000_000_000;
const nowS = nowMs / 1_000;
const clock = { now: () => nowMs };
const sessionId = "0198c0de-0000-7000-8000-000000000001";
const log = pino({ level: "silent" });
const secret = "a secret of at least thirty-two characters";

/** Everybody from outside is person 41, and who they were said to be is kept. */
function tokens(rules: TokenRules = { secret }, person: Partial<KnownPerson> = {}) {
  const asked: OutsideIdentity[] = [];
  const personOf = async (identity: OutsideIdentity): Promise<KnownPerson> => {
    asked.push(identity);
    return { id: 41, username: "ann", role: "user", ...person };
  };
  const ended = createEndedSessions(clock);
  const created = createTokens(rules, { clock, log, personOf, ended });
  return { verify: (token: string) => created.verify(token), asked, ended };
}

/** A token of this server's own, with claims that replace its own or, where undefined, leave them out. */
function signOwn(claims: Record<string, unknown> = {}, key = secret): Promise<string> {
  const own = { iss: "tidings", aud: "tidings", username: "ann", role: "user", sid: sessionId };
  return sign({ ...own, ...claims }, "HS256", key);
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

test("another program's token becomes its person, with the scopes that this server knows", async () => {
  const actor = await tokens().verify(
    await sign({ scope: "inbox:read fly:moon", scopes: ["stats:read", 5] }),
  );
  assert.deepEqual(actor, {
    kind: "user",
    id: 41,
    username: "ann",
    role: "user",
    sessionId: undefined,
    expiresAt: nowMs + 60_000,
    scopes: new Set(["inbox:read", "stats:read"]),
  });
  assert.equal(actorName(actor), "user:41");
});

test("the role admin, alone or in a list, or given here, gives the scope admin", async () => {
  for (const claims of [{ role: "admin" }, { roles: ["operator", "admin"] }]) {
    const { role, scopes } = await tokens().verify(await sign(claims));
    assert.deepEqual([role, scopes], ["admin", new Set(["admin"])]);
  }
  const known = await tokens({ secret }, { role: "admin" }).verify(await sign({ role: "moderator" }));
  assert.deepEqual([known.role, known.scopes], ["admin", new Set(["admin"])]);
  assert.deepEqual((await tokens().verify(await sign({ role: "operator" }))).scopes, new Set());
  const moderator = await tokens().verify(await sign({ role: "moderator" }));
  assert.deepEqual([moderator.role, moderator.scopes], ["moderator", new Set()]);
});

test("who somebody is elsewhere is issuer and subject, and an e-mail address only if it was verified", async () => {
  const all = { iss: "https://id.example", preferred_username: "ann", name: "Ann", email: "ann@example.com" };
  const none = { username: undefined, name: undefined, email: undefined };
  const identityOf = async (claims: Record<string, unknown>) => {
    const { verify, asked } = tokens();
    await verify(await sign(claims));
    return asked[0];
  };
  const ann = { issuer: "https://id.example", subject: "7", username: "ann", name: "Ann" };
  assert.deepEqual(await identityOf({ ...all, email_verified: true }), { ...ann, email: "ann@example.com" });
  for (const claim of [undefined, false, "yes", 1]) {
    assert.deepEqual(await identityOf({ ...all, email_verified: claim }), { ...ann, email: undefined });
  }
  assert.deepEqual(await identityOf({}), { issuer: "", subject: "7", ...none });
  assert.equal((await identityOf({ username: "bob", preferred_username: 5 }))?.username, "bob");
  assert.equal((await identityOf({ name: "x".repeat(1_001) }))?.name, undefined);
});

test("this server's own token is good for a quarter of an hour, and nobody is asked about it", async () => {
  let now = nowMs;
  const moving = { now: () => now };
  const personOf = () => Promise.reject(new Error("not needed"));
  const ended = createEndedSessions(moving);
  const own = createTokens({ secret }, { clock: moving, log, personOf, ended });
  const token = await createAccessTokens(secret, moving).issue(
    { id: 9, username: "eve", role: "admin" },
    sessionId,
  );
  const actor = {
    kind: "user",
    id: 9,
    username: "eve",
    role: "admin",
    sessionId,
    expiresAt: nowMs + accessTokenS * 1_000,
    scopes: new Set(["admin"]),
  };
  assert.deepEqual(await own.verify(token), actor);
  now += 900_000 + 4_000;
  assert.deepEqual(await own.verify(token), actor);
  now += 2_000;
  await assert.rejects(own.verify(token), refused(/has expired/));
});

test("an own token is refused once its sign-in has ended, whether or not it was known to be good", async () => {
  const { verify, ended } = tokens();
  const here = await signOwn();
  const other = await signOwn({ sid: "0198c0de-0000-7000-8000-000000000002" });
  const first = await verify(here);
  ended.ended(7, sessionId, nowMs);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(verify(here), refused(/sign-in .* has ended/));
    await assert.rejects(verify(await signOwn({ exp: nowS + 90 })), refused(/sign-in .* has ended/));
  }
  assert.deepEqual(await verify(other), { ...first, sessionId: "0198c0de-0000-7000-8000-000000000002" });
  ended.ended(7, undefined, nowMs);
  await assert.rejects(verify(other), refused(/sign-in .* has ended/));
  assert.equal((await verify(await sign({ sub: "7" }))).id, 41, "what another issuer says is not ended here");
});

test("a token of one character more than the bound is not looked at", async () => {
  const { verify } = tokens();
  const longest = `${encode({ alg: "HS256" })}.${encode({ exp: 1 })}.`;
  const text = longest.padEnd(tokenLengthMax, "x");
  await assert.rejects(verify(text), refused(/signature|lacks the claim/));
  await assert.rejects(verify(`${text}x`), refused(/too long/));
});

test("one good token more than the bound, and the one that was used longest ago is looked at anew", async () => {
  const head = encode({ alg: "HS256" });
  const token = (sub: number): string => {
    const claims = { iss: "tidings", aud: "tidings", username: "ann", role: "user", sid: sessionId };
    const text = `${head}.${encode({ ...claims, sub: String(sub), exp: nowS + 60 })}`;
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  };
  const few = tokens();
  const many = tokens();
  const [byFew, byMany] = [await few.verify(token(1)), await many.verify(token(1))];
  for (let i = 2; i <= goodTokensMax; i++) {
    await few.verify(token(i));
    await many.verify(token(i));
  }
  await many.verify(token(goodTokensMax + 1));
  assert.equal(await few.verify(token(1)), byFew, "as many as the bound are kept");
  assert.notEqual(await many.verify(token(1)), byMany);
});

test("issuer and audience of the configuration do not judge this server's own tokens, and it judges no others by its own", async () => {
  const rules = { secret, issuer: "https://login.example", audience: "shop" };
  assert.equal((await tokens(rules).verify(await signOwn({ sub: "9" }))).id, 9);
  await assert.rejects(tokens(rules).verify(await signOwn({ aud: "shop" })), refused(/another audience/));
  await assert.rejects(tokens(rules).verify(await signOwn({ iss: "Tidings" })), refused(/another issuer/));
  await assert.rejects(
    tokens().verify(await signOwn({}, "another secret of thirty-two characters")),
    refused(/signature/),
  );
});

test("an own token whose claims this server does not write is refused", async () => {
  await tokens().verify(await signOwn());
  for (const claims of [
    { sub: "0" },
    { sub: "7.5" },
    { sub: "9007199254740993" },
    { sub: "ann" },
    { username: undefined },
    { username: "Ann" },
    { role: "owner" },
    { role: ["admin"] },
    { sid: undefined },
    { sid: "1" },
    { sub: undefined },
    { exp: undefined },
  ]) {
    const asked = tokens().verify(await signOwn(claims));
    await assert.rejects(asked, refused(/not this server's|lacks the claim/), JSON.stringify(claims));
  }
});

test("a token that ends after all dates ends with the last one", async () => {
  assert.equal((await tokens().verify(await sign({ exp: 1e300 }))).expiresAt, 8_640_000_000_000_000);
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

test("a subject and an issuer are what the database can hold: whatever else they are, the token is refused", async () => {
  const longest = "x".repeat(255);
  const { verify, asked } = tokens();
  await verify(await sign({ sub: longest, iss: longest }));
  assert.deepEqual([asked[0]?.subject, asked[0]?.issuer], [longest, longest]);
  for (const sub of [`${longest}x`, "a\u0000b", "a\nb", "a\u0085b", "a\ud800", 7, ["7"]]) {
    await assert.rejects(verify(await sign({ sub })), refused(/subject|"sub"/), JSON.stringify(sub));
  }
  for (const iss of [`${longest}x`, "a\u0000b", "a\ud800", 7]) {
    await assert.rejects(verify(await sign({ iss })), refused(/issuer/), JSON.stringify(iss));
  }
  assert.equal(asked.length, 1);
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
