import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, beforeEach, test } from "node:test";
import { Payment } from "../../protocol/wallet.ts";
import { createApp } from "../../src/app.ts";
import { createLogger } from "../../src/lib/logger.ts";
import { paymentIdOf } from "../../src/modules/wallet/credit.ts";
import { clientOf } from "../app.ts";
import { signatures } from "./inbox.ts";
import { assertAddsUp, callsOf, event, letEarn, openWallets, secrets } from "./wallet.ts";

/** What the log keeps of money: of what was refused where it is wrong, of what somebody manages who did it. */

const before = await openWallets({ after });
const { user, access_token: token } = await before.register();
await before.app.close();
const lines: string[] = [];
const log = createLogger("info", { write: (line) => void lines.push(line) });
const app = await createApp(before.app.deps.config, { log });
after(() => app.close());
const client = clientOf(app);
const { assign, halt, manager, pay, payOut, tell, walletOf } = await callsOf(client);
const { db } = app.deps;

beforeEach(() => {
  lines.length = 0;
});

type Line = Readonly<Record<string, unknown>>;
const saying = (msg: string): readonly Line[] =>
  lines.map((line) => JSON.parse(line) as Line).filter((line) => line["msg"] === msg);

test("of every event that is really a provider's and refused for what is in it there is a warning: where, and which event", async () => {
  const known = event({ user_id: user.id, amount: "4321" });
  assert.equal((await tell(known)).status, 200);
  const secret = "s3cr3t";
  const good = event({ user_id: user.id, amount: "987.65" });
  const cases: readonly (readonly [what: object | string, code: string, pointers: string[], id?: string])[] =
    [
      [{ ...good, currency: "EUR" }, "invalid_body", ["/currency"], good.event_id],
      [{ ...good, amount: "987.654" }, "invalid_body", ["/amount"], good.event_id],
      [{ ...good, amount: null }, "invalid_body", ["/amount"], good.event_id],
      [{ ...good, login: secret }, "invalid_body", [""], good.event_id],
      [{ ...good, [secret]: 987.65 }, "invalid_body", ["/…"], good.event_id],
      [{ ...good, user_id: undefined, login: `${secret}\u0000` }, "invalid_body", ["/login"], good.event_id],
      [{ ...good, event_id: `${secret} and a space` }, "invalid_body", ["/event_id"]],
      [{ ...good, event_id: 7 }, "invalid_body", ["/event_id"]],
      [[good], "invalid_body", [""]],
      ["null", "invalid_body", [""]],
      [`{"amount":"987.65","login":"${secret}"`, "invalid_json", []],
      [{ ...known, amount: "987.65" }, "conflict", ["/amount"], known.event_id],
      [{ ...known, user_id: undefined, login: secret }, "conflict", ["/user_id", "/login"], known.event_id],
    ];
  for (const [sent, code, pointers, id] of cases) {
    lines.length = 0;
    const answer = await tell(sent);
    const [line = {}, ...more] = saying("a payment is refused");
    assert.deepEqual(more, []);
    const { level, provider, request_id: requestId, event_id: eventId, payment, pid, time, ...rest } = line;
    assert.deepEqual(
      [answer.problem().code, level, provider, line["code"], line["pointers"], eventId, requestId],
      [code, "warn", "shop", code, pointers, id, answer.headers.get("x-request-id")],
      JSON.stringify(sent),
    );
    assert.equal(payment, id === undefined ? undefined : paymentIdOf({ provider: "shop", eventId: id }));
    // What is left out are numbers of which any may come by chance.
    assert.equal(lines.length, 1, `${String(pid)} at ${String(time)}`);
    assert.doesNotMatch(JSON.stringify(rest), /987|4321|s3cr3t/);
  }
});

test("a body that is no text is warned of as well; what nobody has signed, or what is taken, is not", async () => {
  const bytes = Buffer.from([0x7b, 0xff, 0x7d]);
  const path = "/api/v1/payments/shop";
  const signed = signatures.standard(secrets.shop, bytes);
  const answer = await client.request("POST", path, { body: bytes, headers: signed });
  assert.equal(answer.problem().code, "invalid_encoding");
  assert.deepEqual(
    saying("a payment is refused").map(({ code, pointers }) => [code, pointers]),
    [["invalid_encoding", []]],
  );
  lines.length = 0;
  await tell({ amount: -1 }, { secret: secrets.other });
  await pay({ user_id: user.id });
  assert.deepEqual(saying("a payment is refused"), []);
});

test("who assigns, pays out and lifts is in the log; a payment that was credited is its own person's already, and stays so", async () => {
  const { payment_id: id } = await pay({ user_id: user.id, amount: "3" });
  const { available } = await walletOf(token);
  const same = (await assign(id, user.id)).as(Payment);
  assert.deepEqual(
    [same.state, same.credited_to, same.assigned_at, same.reason],
    ["credited", user.id, null, null],
  );
  assert.equal((await walletOf(token)).available, available);
  const { payment_id: lost } = await pay({ login: "nobody", amount: "3" });
  await assign(lost, user.id);
  await letEarn(db, user.id, 500n);
  const payout_id = randomUUID();
  assert.equal((await payOut({ payout_id, user_id: user.id, amount: "5" })).status, 200);
  await db.query("insert into ledger_halt (since, why) values (now(), 'a test')");
  assert.equal((await client.request("DELETE", "/api/v1/ledger/halt", { key: manager })).status, 200);
  assert.equal((await halt()).halt, null);
  const whoOf = (line: Line | undefined) => [line?.["actor"], typeof line?.["request_id"]];
  const [first, second] = saying("a payment is assigned");
  const [paid] = saying("a payout is made");
  const [lifted] = saying("the halt of payouts is lifted");
  const who = whoOf(second);
  assert.match(String(who[0]), /^key:\d+$/);
  assert.deepEqual([first, paid, lifted].map(whoOf), [who, who, who]);
  assert.deepEqual(
    [second?.["payment"], second?.["user"], paid?.["payout"], lifted?.["why"]],
    [lost, user.id, payout_id, "a test"],
  );
  await assertAddsUp(await callsOf(client), db);
});

test("what somebody disabled has earned before is paid out: whoever may manage money says so", async () => {
  const { user: gone } = await client
    .request("POST", "/api/v1/auth/register", {
      json: { username: "gone-soon", email: "gone@example.com", password: "correct horse battery" },
    })
    .then((answer) => JSON.parse(answer.text) as { user: { id: number } });
  await letEarn(db, gone.id, 500n);
  const key = await client.key(["users:manage"]);
  assert.equal((await client.request("POST", `/api/v1/users/${gone.id}/disable`, { key })).status, 204);
  assert.equal((await payOut({ payout_id: randomUUID(), user_id: gone.id, amount: "5" })).status, 200);
  await assertAddsUp(await callsOf(client), db);
});
