import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Problem } from "../../protocol/errors.ts";
import { limits } from "../../protocol/limits.ts";
import { readDescription } from "../description.ts";
import { signatures } from "./inbox.ts";
import { event, openWallets, secrets } from "./wallet.ts";

/** Requests about money that must be refused by what is wrong with them, and move nothing. */

/** Stands in values that no answer may repeat. */
const marker = "s3cr3t";
const wallets = await openWallets({ after });
const { app, manager, register, request, tell } = wallets;
const { user, access_token: token } = await register();
const id = "01a1fd6d-975e-7000-af02-84c5ca3e2bff";

type Case = {
  readonly what: string;
  readonly to: "payments" | "payouts" | "assign";
  /** JSON text of the field `amount`, or of the whole body. */
  readonly amount?: string;
  readonly body?: object | string;
  readonly refused?: string;
  readonly at?: readonly string[];
  readonly says?: string;
};

/** What is no amount, wherever one is sent; as JSON. */
const badAmounts: Readonly<Record<string, readonly [json: string, says: string]>> = {
  zero: ["0", "not more than nothing"],
  "zero as text": ['"0.00"', "not more than nothing"],
  "minus zero": ["-0", "not more than nothing"],
  negative: ["-1", "not more than nothing"],
  "negative as text": ['"-12.50"', "not more than nothing"],
  "three decimals": ["12.505", "more decimals"],
  "three decimals as text": ['"12.505"', "more decimals"],
  "a hair of a cent": ["1e-7", "more decimals"],
  "the sum of 0.1 and 0.2 as a double": ["0.30000000000000004", "more decimals"],
  "beyond every number": ["1e309", "an amount"],
  "the largest number": ["1.7976931348623157e308", "more than can be moved"],
  "a cent too much": ['"10000000000000.00"', "more than can be moved"],
  "a huge text": [`"${"9".repeat(39)}"`, "more than can be moved"],
  "a text beyond the longest": [`"${"9".repeat(100_0)}"`, "not a number"],
  "the word NaN": ['"NaN"', "not a number"],
  "the word Infinity": ['"Infinity"', "not a number"],
  "an exponent as text": ['"1e3"', "not a number"],
  "hexadecimal digits": ['"0x10"', "not a number"],
  "a comma": ['"12,50"', "not a number"],
  "a plus": ['"+1"', "not a number"],
  "a leading zero": ['"012.50"', "not a number"],
  "white space": ['" 1"', "not a number"],
  "a point at the end": ['"1."', "not a number"],
  "digits of another script": ['"١٢"', "not a number"],
  "no text": ['""', "not a number"],
  words: [`"${marker}"`, "not a number"],
  null: ["null", "an amount"],
  true: ["true", "an amount"],
  "a list": ["[1]", "an amount"],
  "an object": [`{"value":"${marker}"}`, "an amount"],
};

const good = {
  payments: event({ event_id: "evt_bad", user_id: user.id }),
  payouts: { payout_id: id, user_id: user.id, amount: "1" },
  assign: { user_id: user.id },
} as const;

const field = (to: Case["to"], name: string, values: Readonly<Record<string, unknown>>): readonly Case[] =>
  Object.entries(values).map(([what, value]) => ({
    what: `${to}, ${name}: ${what}`,
    to,
    body: { ...good[to], [name]: value },
    at: [`/${name}`],
  }));

const cases: readonly Case[] = [
  ...(["payments", "payouts"] as const).flatMap((to) =>
    Object.entries(badAmounts).map(([what, [amount, says]]) => ({
      what: `${to}, amount: ${what}`,
      to,
      amount,
      at: ["/amount"],
      says,
    })),
  ),
  { what: "NaN, which JSON has not", to: "payments", amount: "NaN", refused: "400 invalid_json" },
  ...field("payments", "amount", { "left out": undefined }),
  ...field("payments", "event_id", {
    "left out": undefined,
    empty: "",
    "one character too many": "e".repeat(256),
    "a space": "a b",
    NUL: "a\u0000",
    "another script": "ключ",
    "a number": 7,
  }),
  ...field("payments", "currency", {
    "left out": undefined,
    another: "EUR",
    "small letters": "usd",
    "a symbol": "$",
    null: null,
  }),
  ...field("payments", "user_id", {
    text: "1",
    "0": 0,
    negative: -1,
    "a fraction": 1.5,
    "too large": 2 ** 53,
  }),
  ...field("payments", "more", { "is not known": marker }),
  { what: "nobody is named", to: "payments", body: { ...good.payments, user_id: undefined }, at: [""] },
  { what: "two ways to name", to: "payments", body: { ...good.payments, login: "ann" }, at: [""] },
  // The last is short by its letters, and by what a person would count.
  ...(
    ["", " ", "a".repeat(255), `${marker}\u0000`, `${marker}\ud800`, 7, `a${"\r\n".repeat(200)}`] as const
  ).map((login) => ({
    what: `a login that is none: ${JSON.stringify(login).slice(0, 12)}`,
    to: "payments" as const,
    body: { ...good.payments, user_id: undefined, login },
    at: ["/login"],
  })),
  { what: "a list of events", to: "payments", body: [good.payments], at: [""] },
  { what: "no JSON", to: "payments", body: "{", refused: "400 invalid_json" },
  {
    what: "a byte more than an event may have",
    to: "payments",
    body: JSON.stringify(good.payments).padEnd(limits.paymentEventBytes + 1),
    refused: "413 body_too_large",
  },
  ...field("payouts", "payout_id", {
    "left out": undefined,
    "no UUID": marker,
    "in capitals": id.toUpperCase(),
    "a number": 1,
  }),
  ...field("payouts", "user_id", { "left out": undefined, text: "1", "nobody's": 999_999_999 }),
  ...field("payouts", "currency", { "is not known": "USD" }),
  ...field("assign", "user_id", { "left out": undefined, text: "1", fraction: 1.5 }),
  ...field("assign", "amount", { "is not known": 1 }),
];

async function send({ to, amount, body }: Case) {
  const { amount: _, ...rest } = { amount: undefined, ...good[to] };
  const text =
    amount !== undefined
      ? JSON.stringify(rest).replace("{", `{"amount":${amount},`)
      : typeof body === "string"
        ? body
        : JSON.stringify(body);
  if (to === "payments") return tell(text);
  const path = to === "assign" ? `payments/${id}/assign` : to;
  return request("POST", `/api/v1/${path}`, { key: manager, body: text });
}

const moved = async (): Promise<unknown> => {
  const { rows } = await app.deps.db.query(
    "select (select count(*) from ledger_transfer) as transfers, (select count(*) from wallet_payment) as payments",
  );
  return rows[0];
};

test("there are no fewer than ninety bad requests, and no two alike", () => {
  assert.ok(cases.length >= 90, String(cases.length));
  assert.equal(new Set(cases.map(({ what }) => what)).size, cases.length);
});

test("every bad request is refused by what is wrong with it, as the description says, and moves nothing", async () => {
  const description = await readDescription(request);
  const paths = {
    payments: "/api/v1/payments/shop",
    payouts: "/api/v1/payouts",
    assign: `/api/v1/payments/${id}/assign`,
  };
  const wrong: string[] = [];
  for (const one of cases) {
    const { what, to, refused = "400 invalid_body", at = [], says = "" } = one;
    const answer = await send(one);
    const { code, detail = "", errors = [] } = JSON.parse(answer.text) as Partial<Problem>;
    const pointers = errors.map(({ pointer }) => pointer).join(" ");
    if (`${answer.status} ${code}` !== refused || pointers !== at.join(" "))
      wrong.push(`${what}: wanted ${refused} at [${at.join(" ")}], got ${answer.text.slice(0, 300)}`);
    if (!detail.includes(says)) wrong.push(`${what}: does not say "${says}": ${detail}`);
    if (answer.text.includes(marker)) wrong.push(`${what}: shows too much: ${answer.text}`);
    const missing = description.missing("POST", paths[to], {
      status: answer.status,
      ...(code === undefined ? {} : { code }),
    });
    if (missing !== undefined) wrong.push(missing);
  }
  assert.equal(wrong.slice(0, 10).join("\n"), "");
  assert.deepEqual(await moved(), { transfers: 0, payments: 0 });
});

test("who is no provider, or has not signed this, is refused before the body is read", async () => {
  const body = JSON.stringify(good.payments);
  const now = Math.floor(Date.now() / 1_000);
  const attempts: readonly (readonly [string, string, Record<string, string>])[] = [
    ["404 not_found", "nobody", signatures.standard(secrets.shop, body)],
    ["404 not_found", "constructor", signatures.standard(secrets.shop, body)],
    ["401 signature_missing", "shop", {}],
    ["401 signature_invalid", "shop", signatures.standard(secrets.other, body)],
    ["401 signature_invalid", "other", signatures.standard(secrets.shop, body)],
    ["401 signature_invalid", "shop", signatures.standard(secrets.shop, `${body} `)],
    [
      "401 signature_expired",
      "shop",
      signatures.standard(secrets.shop, body, { timestamp: String(now - 301) }),
    ],
    // A key opens nothing here, whatever it may do.
    ["401 signature_missing", "shop", { authorization: `Bearer ${wallets.admin}` }],
  ];
  for (const [refused, provider, headers] of attempts) {
    const answer = await request("POST", `/api/v1/payments/${provider}`, { body, headers });
    const { code } = answer.problem();
    assert.equal(`${answer.status} ${code}`, refused, `${provider}: ${answer.text}`);
  }
  assert.deepEqual(await moved(), { transfers: 0, payments: 0 });
});

test("what lies exactly at a bound is taken", async () => {
  const most = "9999999999999.99";
  const bodies: readonly object[] = [
    event({ user_id: user.id, amount: most, event_id: "e".repeat(255) }),
    event({ user_id: user.id, amount: 0.01 }),
    event({ login: "я".repeat(254), amount: 9_999_999_999_999.99 }),
  ];
  for (const body of bodies) assert.equal((await tell(body)).status, 200, JSON.stringify(body));
  const text = JSON.stringify(event({ user_id: user.id })).padEnd(limits.paymentEventBytes);
  assert.equal((await tell(text)).status, 200);
  assert.equal((await wallets.walletOf(token)).available, "10000000000012.50");
  const top = await request("POST", "/api/v1/wallet/demo", { key: token, json: { amount: "1" } });
  assert.deepEqual([top.status, top.problem().code], [403, "forbidden"], "where a provider brings money");
  assert.match(top.problem().detail ?? "", /PAYMENT_SECRETS/);
});
