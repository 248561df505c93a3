import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { AppError } from "../lib/errors.ts";
import { type SignatureRules, requireSignature } from "./signature.ts";

const nowS = 1_614_265_330;
/** The example of the Standard Webhooks specification. */
const example = {
  secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  body: '{"test": 2432232314}',
  headers: {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": String(nowS),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  },
};

type Scheme = SignatureRules["scheme"];

function rules(scheme: Scheme, secrets: readonly string[], at = nowS): SignatureRules {
  return { scheme, secrets, toleranceS: 300, nowS: at };
}

/** "ok", or the code of the refusal. */
function judge(
  request: {
    readonly headers: Readonly<Record<string, string | string[] | undefined>>;
    readonly body: string | Buffer;
  },
  by: SignatureRules,
): string {
  try {
    requireSignature(request.headers, by)?.(Buffer.from(request.body));
    return "ok";
  } catch (error) {
    assert.ok(error instanceof AppError);
    return error.code;
  }
}

function sign(scheme: Scheme, secret: string, body: Buffer, timestamp = nowS): Record<string, string> {
  switch (scheme) {
    case "standard": {
      const mac = createHmac("sha256", Buffer.from(secret.slice(6), "base64"));
      const signature = mac.update(`msg_1.${timestamp}.`).update(body).digest("base64");
      return {
        "webhook-id": "msg_1",
        "webhook-timestamp": String(timestamp),
        "webhook-signature": `v1,${signature}`,
      };
    }
    case "hub":
      return { "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` };
    case "telegram":
      return { "x-telegram-bot-api-secret-token": secret };
    default:
      throw new TypeError(scheme satisfies never);
  }
}

const newSecret: Readonly<Record<Scheme, fc.Arbitrary<string>>> = {
  standard: fc
    .uint8Array({ minLength: 24, maxLength: 64 })
    .map((bytes) => `whsec_${Buffer.from(bytes).toString("base64")}`),
  hub: fc.string({ minLength: 16, maxLength: 100 }),
  telegram: fc.stringMatching(/^[A-Za-z0-9_-]{16,64}$/),
};
const schemes = Object.keys(newSecret) as Scheme[];
/** A change of one character of one header. */
const change = fc.record({
  header: fc.nat(),
  at: fc.nat(),
  unit: fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }),
});
const body = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes));

test("the example of the Standard Webhooks specification is valid", () => {
  assert.equal(judge(example, rules("standard", [example.secret])), "ok");
});

test("GitHub's documented example of X-Hub-Signature-256 is valid", () => {
  const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
  const request = { headers: { "x-hub-signature-256": signature }, body: "Hello, World!" };
  assert.equal(judge(request, rules("hub", ["It's a Secret to Everybody"])), "ok");
});

for (const scheme of schemes) {
  test(`${scheme}: what was signed with either of two secrets is valid, with a third it is not`, () => {
    fc.assert(
      fc.property(newSecret[scheme], newSecret[scheme], newSecret[scheme], body, (a, b, c, body) => {
        fc.pre(c !== a && c !== b);
        for (const [secret, expected] of [
          [a, "ok"],
          [b, "ok"],
          [c, "signature_invalid"],
        ] as const) {
          assert.equal(judge({ headers: sign(scheme, secret, body), body }, rules(scheme, [a, b])), expected);
        }
      }),
    );
  });

  test(`${scheme}: any change of one character of any header is refused`, () => {
    fc.assert(
      fc.property(newSecret[scheme], body, change, (secret, body, { header, at, unit }) => {
        const headers = sign(scheme, secret, body);
        const names = Object.keys(headers);
        const name = names[header % names.length] ?? "";
        const value = headers[name] ?? "";
        const place = at % value.length;
        fc.pre(value[place] !== unit);
        const changed = value.slice(0, place) + unit + value.slice(place + 1);
        const refusal = judge({ headers: { ...headers, [name]: changed }, body }, rules(scheme, [secret]));
        assert.match(refusal, /^signature_(invalid|expired)$/, `${name}: ${changed}`);
      }),
      { numRuns: 500 },
    );
  });

  test(`${scheme}: a header that is missing, empty or sent as a list is named`, () => {
    const headers = sign(scheme, example.secret, Buffer.from("{}"));
    for (const name of Object.keys(headers)) {
      for (const value of [undefined, "", [headers[name] ?? ""]]) {
        const request = { headers: { ...headers, [name]: value }, body: "{}" };
        assert.equal(judge(request, rules(scheme, [example.secret])), "signature_missing", name);
      }
    }
  });
}

for (const scheme of ["standard", "hub"] as const) {
  test(`${scheme}: any change of one byte of the body is refused`, () => {
    fc.assert(
      fc.property(
        newSecret[scheme],
        body,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (secret, body, at, bits) => {
          const changed = Buffer.from(body);
          changed[at % body.length] = (body[at % body.length] ?? 0) ^ bits;
          const headers = sign(scheme, secret, body);
          assert.equal(judge({ headers, body: changed }, rules(scheme, [secret])), "signature_invalid");
          assert.equal(
            judge({ headers, body: body.subarray(1) }, rules(scheme, [secret])),
            "signature_invalid",
          );
        },
      ),
    );
  });
}

test("a timestamp is good up to the tolerance in both directions, and not a second beyond", () => {
  const body = Buffer.from("{}");
  for (const [offset, expected] of [
    [0, "ok"],
    [300, "ok"],
    [-300, "ok"],
    [301, "signature_expired"],
    [-301, "signature_expired"],
  ] as const) {
    const headers = sign("standard", example.secret, body, nowS + offset);
    assert.equal(judge({ headers, body }, rules("standard", [example.secret])), expected, String(offset));
  }
});

test("a timestamp that is no whole number of seconds is refused even if it was signed", () => {
  for (const timestamp of ["", " 1", "1e9", "0x10", "-1", "1.5", "1614265330 ", "9999999999999", "NaN"]) {
    const mac = createHmac("sha256", Buffer.from(example.secret.slice(6), "base64"));
    const signature = mac.update(`msg_1.${timestamp}.{}`).digest("base64");
    const headers = {
      "webhook-id": "msg_1",
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    };
    assert.notEqual(judge({ headers, body: "{}" }, rules("standard", [example.secret])), "ok", timestamp);
  }
});

test("one valid signature among several is enough, among the first five", () => {
  const valid = example.headers["webhook-signature"];
  const by = rules("standard", [example.secret]);
  const judgeList = (list: readonly string[]) =>
    judge({ ...example, headers: { ...example.headers, "webhook-signature": list.join(" ") } }, by);
  assert.equal(judgeList(["v1,AAAA", "v1a,nonsense", valid]), "ok");
  assert.equal(judgeList(["v1,A", "v1,B", "v1,C", "v1,D", valid]), "ok");
  assert.equal(judgeList(["v1,A", "v1,B", "v1,C", "v1,D", "v1,E", valid]), "signature_invalid");
});

test("without a secret nothing is valid", () => {
  for (const scheme of schemes) {
    const headers = sign(scheme, example.secret, Buffer.from("{}"));
    assert.equal(judge({ headers, body: "{}" }, rules(scheme, [])), "signature_invalid");
  }
});
