import assert from "node:assert/strict";
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type CryptoKey, SignJWT, exportJWK, generateKeyPair } from "jose";
import { pino } from "pino";
import { AppError } from "../lib/errors.ts";
import { keySetBytesMax } from "./jwks.ts";
import { createEndedSessions } from "./ended-sessions.ts";
import { createTokens } from "./tokens.ts";

const log = pino({ level: "silent" });

/** An issuer on a free port: what it answers can be changed, and it counts the questions. */
async function startIssuer(t: TestContext) {
  const issuer = {
    status: 200,
    body: "",
    fetches: 0,
    url: new URL("http://127.0.0.1/"),
    stop: async () => {},
  };
  const server: Server = createServer((_request, response) => {
    issuer.fetches++;
    response.writeHead(issuer.status, { "content-type": "application/json" }).end(issuer.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  issuer.url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
  issuer.stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return issuer;
}

async function makeKey(alg: string, kid?: string) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const named = kid === undefined ? {} : { kid };
  const sign = (claims: Record<string, unknown> = {}) => signBy(privateKey, { alg, ...named }, claims);
  return { jwk: { ...(await exportJWK(publicKey)), alg, ...named }, sign };
}

function signBy(key: CryptoKey, header: { alg: string }, claims: Record<string, unknown>): Promise<string> {
  const exp = Math.floor(Date.now() / 1_000) + 3_600 * 24 * 7;
  return new SignJWT({ sub: "7", exp, ...claims }).setProtectedHeader(header).sign(key);
}

/** Whoever has a number for a subject is the person of that number. */
const personOf = async ({ subject }: { readonly subject: string }) =>
  ({ id: Number(subject), username: `user-${subject}`, role: "user" }) as const;

function verifier(url: URL) {
  // Only this clock is moved: jose reads the real one for its own cooldown.
  const clock = { ms: Date.now(), now: () => clock.ms };
  const tokens = createTokens({ jwksUrl: url }, { clock, log, personOf, ended: createEndedSessions(clock) });
  return { clock, verify: (token: string) => tokens.verify(token) };
}

function failsWith(code: string, detail: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof AppError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, detail);
    return true;
  };
}

test("tokens of RS256, ES256 and EdDSA are verified with keys that are fetched once", async (t) => {
  const issuer = await startIssuer(t);
  const keys = await Promise.all([makeKey("RS256", "r"), makeKey("ES256", "e"), makeKey("EdDSA", "d")]);
  issuer.body = JSON.stringify({ keys: keys.map((key) => key.jwk) });
  const { verify } = verifier(issuer.url);
  const signed = await Promise.all(keys.map((key) => key.sign({ scope: "inbox:read" })));
  const actors = await Promise.all(signed.map(verify));
  assert.deepEqual(
    actors.map((actor) => [...actor.scopes]),
    [["inbox:read"], ["inbox:read"], ["inbox:read"]],
  );
  assert.equal(issuer.fetches, 1);
});

test("a token without a key id is verified by whichever key fits", async (t) => {
  const issuer = await startIssuer(t);
  const [first, second, stranger] = await Promise.all([makeKey("ES256"), makeKey("ES256"), makeKey("ES256")]);
  issuer.body = JSON.stringify({ keys: [first.jwk, second.jwk] });
  const { verify } = verifier(issuer.url);
  assert.equal((await verify(await second.sign())).id, 7);
  await assert.rejects(verify(await stranger.sign()), failsWith("unauthorized", /signature does not match/));
});

test("a key that the issuer does not publish is refused, and inventing key ids causes no fetches", async (t) => {
  const issuer = await startIssuer(t);
  const [known, stranger] = await Promise.all([makeKey("ES256", "known"), makeKey("ES256", "stranger")]);
  issuer.body = JSON.stringify({ keys: [known.jwk] });
  const { verify } = verifier(issuer.url);
  const token = await stranger.sign();
  for (let i = 0; i < 20; i++) {
    await assert.rejects(verify(token), failsWith("unauthorized", /key that its issuer does not publish/));
  }
  assert.equal(issuer.fetches, 1);
});

test("a public key of the set cannot be used as the secret of an HMAC", async (t) => {
  const issuer = await startIssuer(t);
  const key = await makeKey("RS256", "r");
  issuer.body = JSON.stringify({ keys: [key.jwk] });
  const forged = await new SignJWT({ sub: "7", exp: Math.floor(Date.now() / 1_000) + 60, role: "admin" })
    .setProtectedHeader({ alg: "HS256", kid: "r" })
    .sign(new TextEncoder().encode(JSON.stringify(key.jwk)));
  const { verify } = verifier(issuer.url);
  await assert.rejects(verify(forged), failsWith("unauthorized", /algorithm is not accepted/));
});

test("with a secret and a key set, the algorithm decides which of them judges", async (t) => {
  const issuer = await startIssuer(t);
  const key = await makeKey("ES256", "e");
  issuer.body = JSON.stringify({ keys: [key.jwk] });
  const secret = "a secret of at least thirty-two characters";
  const clock = { now: () => Date.now() };
  const tokens = createTokens(
    { jwksUrl: issuer.url, secret },
    { clock, log, personOf, ended: createEndedSessions(clock) },
  );
  const bySecret = await new SignJWT({ sub: "8", exp: Math.floor(Date.now() / 1_000) + 60 })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(secret));
  assert.equal((await tokens.verify(bySecret)).id, 8);
  assert.equal((await tokens.verify(await key.sign())).id, 7);
});

test("an issuer that does not answer makes tokens unavailable, and is asked again only after a pause", async (t) => {
  const issuer = await startIssuer(t);
  const key = await makeKey("ES256", "e");
  const token = await key.sign();
  const { clock, verify } = verifier(issuer.url);
  issuer.status = 500;
  for (let i = 0; i < 5; i++)
    await assert.rejects(verify(token), failsWith("unavailable", /cannot be fetched/));
  assert.equal(issuer.fetches, 1);
  issuer.status = 200;
  issuer.body = "<html>";
  clock.ms += 5_000;
  await assert.rejects(verify(token), failsWith("unavailable", /cannot be fetched/));
  issuer.body = JSON.stringify({ keys: [key.jwk] });
  clock.ms += 5_000;
  assert.equal((await verify(token)).id, 7);
});

test("a key set as large as the bound is read, and of one that is a byte larger nothing is believed", async (t) => {
  const issuer = await startIssuer(t);
  const key = await makeKey("ES256", "e");
  const token = await key.sign();
  const set = JSON.stringify({ keys: [key.jwk] });
  issuer.body = set.padEnd(keySetBytesMax);
  assert.equal((await verifier(issuer.url).verify(token)).id, 7);
  issuer.body = set.padEnd(keySetBytesMax + 1);
  await assert.rejects(verifier(issuer.url).verify(token), failsWith("unavailable", /cannot be fetched/));
});

test("nothing listening at the issuer's address is unavailable too", async (t) => {
  const issuer = await startIssuer(t);
  await issuer.stop();
  const token = await (await makeKey("ES256", "e")).sign();
  await assert.rejects(verifier(issuer.url).verify(token), failsWith("unavailable", /cannot be fetched/));
});

test("keys that were fetched serve on while their issuer is down", async (t) => {
  const issuer = await startIssuer(t);
  const key = await makeKey("ES256", "e");
  issuer.body = JSON.stringify({ keys: [key.jwk] });
  const token = await key.sign();
  const { clock, verify } = verifier(issuer.url);
  await verify(token);
  issuer.status = 503;
  clock.ms += 2 * 3_600_000;
  assert.equal((await verify(token)).id, 7);
  assert.equal(issuer.fetches, 2);
  await verify(token);
  assert.equal(issuer.fetches, 2);
});

test("a key that the issuer withdrew is no longer believed after the next refresh", async (t) => {
  const issuer = await startIssuer(t);
  const [old, next] = await Promise.all([makeKey("ES256", "old"), makeKey("ES256", "next")]);
  issuer.body = JSON.stringify({ keys: [old.jwk] });
  const { clock, verify } = verifier(issuer.url);
  await verify(await old.sign());
  issuer.body = JSON.stringify({ keys: [next.jwk] });
  clock.ms += 3_600_000;
  await assert.rejects(verify(await old.sign()), failsWith("unauthorized", /does not publish/));
  assert.equal((await verify(await next.sign())).id, 7);
});
