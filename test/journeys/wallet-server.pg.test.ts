import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { after, test } from "node:test";
import { PaymentAccepted, Wallet } from "../../protocol/wallet.ts";
import { createApp } from "../../src/app.ts";
import { createLogger } from "../../src/lib/logger.ts";
import { requireDemoPlace } from "../../src/modules/wallet/demo-top-up.ts";
import { clientOf } from "../app.ts";
import { testLog } from "../harness.ts";
import { openAccounts } from "./accounts.ts";
import { openLeanClient } from "./lean-client.ts";
import { assertAddsUp, callsOf, event, letEarn, openWallets, secrets } from "./wallet.ts";

/** What a server does with money when it starts, and where money is made to try things out. */

const demo = "/api/v1/wallet/demo";

test("after a restart an event is known, a halt still holds, and another currency is no way to start", async (t) => {
  const before = await openWallets(t);
  const { user, access_token: token } = await before.register();
  const { config, db } = before.app.deps;
  const told = event({ user_id: user.id });
  const answer = await before.tell(told);
  await letEarn(db, user.id, 500n);
  await db.query("insert into ledger_halt (since, why) values (now(), 'a test')");
  await before.app.close();

  await assert.rejects(createApp({ ...config, currency: { code: "EUR", scale: 2 } }, { log: testLog }), {
    name: "StartupError",
    message:
      "CURRENCY is EUR, and the ledger holds money in USD on 3 accounts: set CURRENCY=USD, or use another database",
  });

  // A Node.js that thinks otherwise of the currency's decimals changes nothing of what is counted.
  await using app = await createApp({ ...config, currency: { code: "USD", scale: 0 } }, { log: testLog });
  const calls = await callsOf(clientOf(app));
  const again = await calls.tell(told);
  assert.deepEqual([again.status, again.text], [200, answer.text]);
  assert.equal((await calls.walletOf(token)).available, "12.50");
  const payout = await calls.payOut({ payout_id: randomUUID(), user_id: user.id, amount: "5.00" });
  assert.equal(payout.problem().code, "payouts_halted");
  await assertAddsUp(calls, app.deps.db);
});

test("an empty ledger may change its currency", async (t) => {
  const before = await openWallets(t);
  const { config } = before.app.deps;
  await before.app.close();
  await using app = await createApp({ ...config, currency: { code: "JPY", scale: 0 } }, { log: testLog });
  const calls = await callsOf(clientOf(app));
  const sent = await calls.tell(event({ login: "nobody", amount: 1_250, currency: "JPY" }));
  assert.equal(sent.as(PaymentAccepted).amount, "1250");
  const [usd, half] = [await calls.tell(event({ login: "nobody" })), { amount: "12.50", currency: "JPY" }];
  assert.equal(usd.problem().errors?.[0]?.pointer, "/currency");
  assert.match((await calls.tell(event({ login: "x", ...half }))).text, /more decimals than the currency/);
});

test("of two servers with different currencies on one empty ledger, the one that came last makes money, and it alone starts again", async (t) => {
  const first = await openWallets(t);
  const { config, db } = first.app.deps;
  const euros = { ...config, currency: { code: "EUR", scale: 2 } };
  const lines: string[] = [];
  const log = createLogger("error", { write: (line) => void lines.push(line) });
  await first.app.close();
  await using older = await createApp(config, { log });
  const [dollars, told] = [await callsOf(clientOf(older)), event({ login: "nobody" })];
  {
    await using newer = await createApp({ ...euros, port: 0, metricsPort: 0 }, { log });
    const refused = await dollars.tell(told);
    assert.deepEqual([refused.status, refused.problem().code], [503, "unavailable"]);
    assert.match(refused.problem().detail ?? "", /CURRENCY is USD, and the ledger's is EUR/);
    assert.match(lines.join(), /"currency":"USD","ledger":"EUR".*no money is moved/);
    const calls = await callsOf(clientOf(newer));
    assert.equal((await calls.tell({ ...told, currency: "EUR" })).status, 200);
    assert.equal((await dollars.tell(event({ login: "nobody" }))).status, 503);
    await assertAddsUp(calls, newer.deps.db);
  }
  await assert.rejects(createApp({ ...config, port: 0, metricsPort: 0 }, { log }), {
    name: "StartupError",
    message: /^CURRENCY is USD, and the ledger holds money in EUR on 2 accounts: set CURRENCY=EUR/,
  });
  await using again = await createApp({ ...euros, port: 0, metricsPort: 0 }, { log });
  assert.equal((await (await callsOf(clientOf(again))).tell({ ...told, currency: "EUR" })).status, 200);
  assert.notEqual(db, again.deps.db);
});

/** Without an issuer of tokens: the server makes a secret of its own. */
const trying = { JWT_SECRET: "" };
const accounts = await openAccounts({ after }, trying);
const topUp = (json: object, key: string) => accounts.request("POST", demo, { key, json });

test("money to try things out is made on the server's own machine, up to a bound, once by its id", async () => {
  const { access_token: token } = await accounts.register();
  const id = randomUUID();
  const first = await topUp({ amount: 1_000, top_up_id: id }, token);
  assert.deepEqual(first.as(Wallet), { currency: "USD", available: "1000.00", held: "0.00", earned: "0.00" });
  assert.equal((await topUp({ amount: "1000.0", top_up_id: id }, token)).as(Wallet).available, "1000.00");
  assert.equal((await topUp({ amount: 1, top_up_id: id }, token)).problem().code, "idempotency_mismatch");
  const { access_token: other } = await accounts.register();
  assert.equal((await topUp({ amount: 1, top_up_id: id }, other)).as(Wallet).available, "1.00");
  const tooMuch = (await topUp({ amount: "1000.01" }, token)).problem();
  assert.deepEqual(tooMuch.errors, [
    { pointer: "/amount", code: "too_large", detail: "must be at most 1000.00" },
  ]);
  for (let i = 0; i < 2; i++) await topUp({ amount: "0.01" }, token);
  assert.equal((await topUp({ amount: "0.01" }, token)).as(Wallet).available, "1000.03");
  assert.equal((await topUp({ amount: 1 }, accounts.admin)).status, 403, "a program is nobody");
  await assertAddsUp(await callsOf(accounts), accounts.app.deps.db);
});

test("money to try things out is made for nobody who comes through a proxy or by another name", async (t) => {
  const { access_token: token } = await accounts.register();
  const client = openLeanClient(t, accounts.url, 1);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify({ amount: "1" });
  assert.equal((await client({ path: demo, headers, body })).status, 200);
  for (const odd of [
    { "x-forwarded-for": "127.0.0.1" },
    { forwarded: "for=127.0.0.1" },
    { via: "1.1 proxy" },
    { host: "tidings.example" },
    { "cf-connecting-ip": "127.0.0.1" },
    { "x-real-ip": "" },
  ]) {
    const { status, text } = await client({ path: demo, headers: { ...headers, ...odd }, body });
    assert.equal(status, 403, JSON.stringify(odd));
    assert.match(text, /demo top-ups are made only on the server's own machine/);
  }
});

test("money to try things out is made for nobody who asks as a proxy does that hides itself: in HTTP/1.0, or by a whole URL", async () => {
  const { access_token: token } = await accounts.register();
  const { host } = new URL(accounts.url);
  const send = (first: string): Promise<string> => {
    const body = JSON.stringify({ amount: "1" });
    const head = [
      first,
      // As nginx does by default.
      `Host: ${host}`,
      "Connection: close",
      `Authorization: Bearer ${token}`,
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
    ];
    return exchange(accounts.url, `${head.join("\r\n")}\r\n\r\n${body}`);
  };
  assert.match(await send(`POST ${demo} HTTP/1.1`), /^HTTP\/1\.1 200 /);
  for (const first of [`POST ${demo} HTTP/1.0`, `POST http://${host}${demo} HTTP/1.1`])
    assert.match(await send(first), /^HTTP\/1\.1 403 .*made only on the server's own machine/s, first);
  assert.equal((await (await callsOf(accounts)).walletOf(token)).available, "1.00");
});

test("money to try things out is made nowhere once the server listens beyond its machine, or has tokens of its operator's", async (t) => {
  const open = await openAccounts(t);
  const { access_token: key } = await open.register();
  const answer = await open.request("POST", demo, { key, json: { amount: "1" } });
  assert.equal(
    answer.problem().detail,
    "demo top-ups are made only while neither JWT_SECRET nor JWT_JWKS_URL is set",
  );
  const config = {
    host: "127.0.0.1",
    paymentSecrets: new Map(),
    jwtSecret: undefined,
    jwtJwksUrl: undefined,
  };
  const request = { headers: { host: "localhost" }, ip: "127.0.0.1", httpVersion: "1.1", target: demo };
  requireDemoPlace(config, request);
  for (const [change, why] of [
    [{ host: "0.0.0.0" }, /only while HOST is loopback/],
    [{ jwtJwksUrl: new URL("https://login.example/keys") }, /JWT_JWKS_URL/],
    [{ paymentSecrets: new Map([["shop", ["whsec_"]]]) }, /PAYMENT_SECRETS/],
  ] as const)
    assert.throws(() => requireDemoPlace({ ...config, ...change }, request), {
      code: "forbidden",
      message: why,
    });
  const none = await open.request("POST", "/api/v1/payments/shop", { json: event() });
  assert.deepEqual(
    [none.status, none.problem().code],
    [404, "not_found"],
    "without a provider there is none",
  );
});

test("money to try things out ends for ever with the first payment; what was made before stays, and is warned of at every start", async (t) => {
  const before = await openAccounts(t, trying);
  const { access_token: key, user } = await before.register();
  const id = randomUUID();
  const make = (server: Pick<typeof before, "request">, json: object) =>
    server.request("POST", demo, { key, json });
  assert.equal((await make(before, { amount: "5", top_up_id: id })).status, 200);
  const { config } = before.app.deps;
  await before.app.close();
  const lines: string[] = [];
  const log = createLogger("warn", { write: (line) => void lines.push(line) });
  {
    const paymentSecrets = new Map([["shop", [secrets.shop]]]);
    await using open = await createApp({ ...config, paymentSecrets }, { log });
    assert.match(lines.join(), /"level":"warn".*"topUps":1.*money here that nobody has paid/);
    const calls = await callsOf(clientOf(open));
    assert.equal((await calls.pay({ login: "nobody", amount: "1" })).status, "suspense");
  }
  lines.length = 0;
  await using after = await createApp(config, { log });
  assert.doesNotMatch(
    lines.join(),
    /nobody has paid/,
    "of money that is not to be taken for real, nobody is",
  );
  const server = clientOf(after);
  for (const json of [{ amount: "5" }, { amount: "5", top_up_id: id }]) {
    const refused = await make(server, json);
    assert.deepEqual([refused.status, refused.problem().code], [403, "forbidden"]);
    assert.equal(refused.problem().detail, "demo top-ups end where a payment has come");
  }
  const calls = await callsOf(server);
  assert.equal((await calls.walletOf(key)).available, "5.00");
  assert.ok(user.id > 0);
  await assertAddsUp(calls, after.deps.db);
});

/** Sends a text and resolves with all that is answered. */
function exchange(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.setEncoding("utf8");
    socket.on("data", (part) => (answer += String(part)));
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}
