import { webhook } from "./inbox.ts";
import type { Call } from "./lean-client.ts";

/** A request that must be refused. */
export type BadRequest = Partial<Call> & {
  readonly what: string;
  /** Status and code. */
  readonly refused: string;
  /** Header lines that no ordinary client would send, after those that every request has; on a connection of its own. */
  readonly odd?: readonly string[];
  /** The fields or parameters at fault. */
  readonly at?: readonly string[];
};

/** Stands in values that no answer may repeat. */
export const marker = "s3cr3t";

const bytes = (...parts: readonly (string | number)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part]))));
/** The text of a webhook with one field written as it stands here, `undefined` leaving it out. */
function withField(field: string, json: string | undefined): string {
  const rest = Object.entries(webhook()).filter(([name]) => name !== field);
  const members = rest.map(([name, value]) => `"${name}":${JSON.stringify(value)}`);
  return `{${[...members, ...(json === undefined ? [] : [`"${field}":${json}`])].join(",")}}`;
}

/** Values of one field that are wrong, as JSON. */
const badValues: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  external_message_id: {
    "one digit short": `"${"a".repeat(31)}"`,
    "one digit long": `"${"a".repeat(33)}"`,
    "a letter beyond f": `"${marker}${"g".repeat(26)}"`,
    "a UUID with dashes": '"1a2b3c4d-5e6f-7890-abcd-ef1234567890"',
    "white space around it": `" ${"a".repeat(30)} "`,
    "a line break after it": `"${"a".repeat(32)}\\n"`,
    "digits of another script": `"${"١".repeat(32)}"`,
    empty: '""',
    "a number": "12345678901234567890123456789012",
    null: "null",
    "an object": `{"value":"${marker}"}`,
  },
  external_client_id: {
    "bad hex": `"${"z".repeat(32)}"`,
    empty: '""',
    "a list": `["${"a".repeat(32)}"]`,
    true: "true",
    null: "null",
  },
  client_phone: {
    "without plus": '"79194961182"',
    "a country code that begins with 0": '"+09194961182"',
    "six digits": '"+123456"',
    "sixteen digits": '"+1234567890123456"',
    "spaces and dashes": '"+7 919 496-11-82"',
    letters: `"+7${marker}"`,
    "digits of another script": '"+７９１９４９６１１８２"',
    "a line break after it": '"+79194961182\\n"',
    "a number": "79194961182",
    null: "null",
  },
  message_text: {
    empty: '""',
    blank: '" \\t\\r\\n\\u00a0\\u2028\\ufeff"',
    "4097 characters": `"${marker}${"a".repeat(4_091)}"`,
    "4097 characters of four bytes": `"${"😀".repeat(4_097)}"`,
    "a hundred thousand characters": `"${marker}${"a".repeat(100_000)}"`,
    NUL: `"${marker}\\u0000"`,
    "a lone high surrogate": `"${marker}\\ud800"`,
    "a lone low surrogate": `"${marker}\\udc00"`,
    "surrogates the wrong way round": '"\\ude00\\ud83d"',
    "a number": "1",
    null: "null",
    "an object": `{"text":"${marker}"}`,
  },
  send_at: {
    text: '"1640995200"',
    "a fraction": "1640995200.5",
    negative: "-1",
    milliseconds: "1640995200000",
    "the first second of 2100 and one": "4102444801",
    "beyond every number": "1e400",
    true: "true",
    null: "null",
  },
};

const fields = Object.keys(badValues);
const valid = JSON.stringify(webhook());

/** Bodies of the webhook that are wrong. */
export const badBodies: readonly BadRequest[] = [
  ...Object.entries(badValues).flatMap(([field, values]) =>
    Object.entries({ ...values, missing: undefined }).map(([what, json]) => ({
      what: `${field}: ${what}`,
      body: withField(field, json),
      refused: "400 invalid_body",
      at: [`/${field}`],
    })),
  ),
  { what: "every field missing", body: "{}", refused: "400 invalid_body", at: fields.map((f) => `/${f}`) },
  {
    what: "every field wrong",
    body: JSON.stringify(Object.fromEntries(fields.map((field) => [field, []]))),
    refused: "400 invalid_body",
    at: fields.map((field) => `/${field}`),
  },
  {
    what: "a field more",
    body: withField("extra", `"${marker}"`),
    refused: "400 invalid_body",
    at: ["/extra"],
  },
  {
    what: "a field given twice, its first value nesting deeper than the database follows",
    body: valid.replace("{", `{"message_text":${"[".repeat(50_000)}${"]".repeat(50_000)},`),
    refused: "400 invalid_body",
  },
  {
    what: "a field given twice, its last value wrong",
    body: valid.replace("}", `,"message_text":{"${marker}":1}}`),
    refused: "400 invalid_body",
    at: ["/message_text"],
  },
  { what: "__proto__", body: withField("__proto__", '{"admin":true}'), refused: "400 invalid_body" },
  {
    what: "constructor.prototype",
    body: withField("constructor", '{"prototype":{}}'),
    refused: "400 invalid_body",
  },
  ...["[]", `[${valid}]`, `"${marker}"`, "null", "42", "true", ""].map((body) => ({
    what: `not an object: ${body.slice(0, 12)}`,
    body,
    refused: "400 invalid_body",
    at: [""],
  })),
  ...Object.entries({
    "cut off": valid.slice(0, -1),
    "a comma after the last field": valid.replace("}", ",}"),
    "single quotes": valid.replaceAll('"', "'"),
    "a comment": `/* ${marker} */${valid}`,
    NaN: withField("send_at", "NaN"),
    "two documents": valid + valid,
    "a raw line break in a text": withField("message_text", `"${marker}\n"`),
    "a bad escape": withField("message_text", `"${marker}\\x41"`),
    "a byte order mark": `\ufeff${valid}`,
    "a form": `message_text=${marker}`,
    "white space only": "   ",
  }).map(([what, body]) => ({ what: `not JSON: ${what}`, body, refused: "400 invalid_json" })),
  ...Object.entries({
    "a byte that never occurs": bytes('{"message_text":"', 0xff, '"}'),
    "an overlong form": bytes('{"message_text":"', 0xc0, 0xaf, '"}'),
    "a surrogate in three bytes": bytes('{"message_text":"', 0xed, 0xa0, 0x80, '"}'),
    "a character cut off": bytes(valid, 0xd0),
    "another encoding": Buffer.from(`\ufeff${valid}`, "utf16le"),
  }).map(([what, body]) => ({ what: `not UTF-8: ${what}`, body, refused: "400 invalid_encoding" })),
];

/** Headers and sizes of the webhook's body that are wrong. */
export const badEnvelopes: readonly BadRequest[] = [
  ...[
    {},
    { "content-type": "text/plain" },
    { "content-type": "application/x-www-form-urlencoded" },
    { "content-type": "multipart/form-data; boundary=x" },
    { "content-type": "application/json; charset=windows-1251" },
    { "content-type": "application/json; charset=utf-16" },
    { "content-type": "application/json", "content-encoding": "gzip" },
  ].map((headers: Record<string, string>) => ({
    what: `content type: ${Object.values(headers).join(" ") || "none"}`,
    headers,
    body: valid,
    refused: "415 unsupported_media_type",
  })),
  {
    what: "a coding that nobody reads",
    headers: { "content-type": "application/json", "transfer-encoding": "gzip, chunked" },
    body: [Buffer.from(valid)],
    refused: "400 invalid_header",
  },
  {
    what: "11 MB with a length",
    body: Buffer.alloc(11 * 1_048_576, marker),
    refused: "413 body_too_large",
  },
  {
    what: "11 MB in chunks",
    body: Array.from({ length: 11 * 16 }, () => Buffer.alloc(65_536, marker)),
    refused: "413 body_too_large",
  },
  {
    what: "a byte more than a request may have",
    body: valid.padEnd(1_048_577),
    refused: "413 body_too_large",
  },
  {
    what: "more than an entry of the log may have",
    body: valid.padEnd(262_000),
    refused: "413 body_too_large",
  },
];
