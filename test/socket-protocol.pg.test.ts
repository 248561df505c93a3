import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { closeRules } from "../protocol/close-codes.ts";
import {
  clientFrames,
  commonEntries,
  protocolHash,
  protocolVersion,
  serverFrames,
} from "../protocol/frames.ts";
import { type AsyncApi, spokenBy } from "../src/gateway/asyncapi.ts";
import { createModules } from "../src/modules.ts";
import { startTestApp } from "./app.ts";

/** What is spoken over the socket: its description, and that nothing of it changes unnoticed. */

const { app, request } = await startTestApp({ after });
const spoken = spokenBy(createModules(app.deps).all);

type Payload = {
  readonly properties: Record<string, { readonly const?: unknown; readonly pattern?: string }>;
};

async function readDocument(): Promise<AsyncApi> {
  const served = await request("GET", "/asyncapi.json");
  assert.equal(served.status, 200);
  assert.match(served.headers.get("content-type") ?? "", /^application\/json/);
  return JSON.parse(served.text) as AsyncApi;
}
const document = await readDocument();

/** Every reference of a value. */
function refsOf(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    key === "$ref" ? [String(inner)] : refsOf(inner),
  );
}

function follow(ref: string): unknown {
  const steps = ref.replace(/^#\//, "").split("/");
  return steps.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
}

/** The message of the subprotocol's channel whose payload has these constants. */
function messagesWith(fields: Readonly<Record<string, string>>): readonly Payload[] {
  const payloads = Object.values(document.channels.socket.messages).map(({ payload }) => payload as Payload);
  return payloads.filter(({ properties }) =>
    Object.entries(fields).every(([field, value]) => properties[field]?.const === value),
  );
}

test("the description is AsyncAPI 3.0, by the schema of those who wrote the format", async () => {
  const file = fileURLToPath(import.meta.resolve("@asyncapi/specs/schemas/3.0.0-without-$id.json"));
  const schema = JSON.parse(await readFile(file, "utf8")) as object;
  const validate = new Ajv({ strict: false, validateFormats: false, logger: false }).compile(schema);
  assert.ok(validate(document), JSON.stringify(validate.errors?.slice(0, 5)));
  assert.ok(!validate({ ...document, channels: [] }));
});

test("every reference of it leads somewhere, and the messages of an operation are of its channel", () => {
  const refs = refsOf(document);
  assert.ok(refs.length > 50);
  assert.deepEqual(
    refs.filter((ref) => follow(ref) === undefined),
    [],
  );
  for (const [name, { channel, messages, reply }] of Object.entries(document.operations)) {
    for (const { $ref } of [...messages, ...(reply?.messages ?? [])]) {
      assert.ok($ref.startsWith(`${channel.$ref}/messages/`), `${name}: ${$ref}`);
    }
  }
});

test("every message of it is sent or received by an operation", () => {
  const used = new Set(
    Object.values(document.operations).flatMap(({ messages, reply }) =>
      [...messages, ...(reply?.messages ?? [])].map(({ $ref }) => $ref),
    ),
  );
  const unused = Object.entries(document.channels).flatMap(([channel, { messages }]) =>
    Object.keys(messages).filter((name) => !used.has(`#/channels/${channel}/messages/${name}`)),
  );
  assert.deepEqual(unused, []);
});

test("every frame, request, entry and signal is in it, and so is every close code", () => {
  for (const type of [...Object.keys(clientFrames), ...Object.keys(serverFrames)]) {
    assert.ok(messagesWith({ type }).length > 0, type);
  }
  for (const { name, params, answer } of spoken.methods) {
    const [payload] = messagesWith({ type: "request", name });
    assert.deepEqual(payload?.properties["params"], plain(params), name);
    const reply = document.channels.socket.messages[`answer.${name}`]?.payload as Payload | undefined;
    assert.deepEqual(reply?.properties["data"], plain(answer), name);
  }
  for (const { kind, entries, signals = {} } of spoken.kinds) {
    const ofKind = ({ properties }: Payload) => properties["topic"]?.pattern === `^${kind}/`;
    const ofEntries = messagesWith({ type: "entry" }).filter(ofKind);
    const entryTypes = new Set(
      ofEntries.map(
        ({ properties }) => (properties["entry"] as unknown as Payload).properties["type"]?.const,
      ),
    );
    for (const type of Object.keys(entries)) {
      for (const one of [type, ...Object.keys(commonEntries)])
        assert.ok(entryTypes.has(one), `${kind} ${one}`);
    }
    for (const name of Object.keys(signals)) {
      assert.equal(messagesWith({ type: "signal", name }).filter(ofKind).length, 1, `${kind} ${name}`);
    }
  }
  const codes = (document["x-close-codes"] as { code: number }[]).map(({ code }) => code);
  assert.deepEqual(
    codes,
    Object.values(closeRules).map(({ code }) => code),
  );
  for (const { frames } of spoken.plain) {
    const payloads = Object.values(document.channels.plain.messages).map(({ payload }) => payload);
    for (const schema of Object.values(frames)) {
      assert.ok(payloads.some((payload) => JSON.stringify(payload) === JSON.stringify(schema)));
    }
  }
});

test("the page of the HTTP API leads to it", async () => {
  const openapi = JSON.parse((await request("GET", "/openapi.json")).text) as { externalDocs?: unknown };
  assert.match(JSON.stringify(openapi.externalDocs), /"\/asyncapi\.json"/);
});

/** Says something about a schema to people, and nothing about what fits it. */
const remarks = new Set(["description", "title", "examples", "x-detail"]);

/** JSON text that is the same for the same meaning: keys in order, without what is only for people. */
function canonical(value: unknown, isSchema = true): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    // A property may well be called `title`; only a schema's own keywords are remarks.
    .filter(([key, inner]) => inner !== undefined && !(isSchema && remarks.has(key)))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner, !(isSchema && key === "properties"))}`);
  return `{${fields.join(",")}}`;
}

function hashOf(wire: unknown): string {
  return createHash("sha256").update(canonical(wire)).digest("hex").slice(0, 16);
}

/** All that two sides of different ages must agree on. */
const wire = {
  version: protocolVersion,
  clientFrames,
  serverFrames,
  commonEntries,
  methods: spoken.methods.map(({ name, params, answer }) => ({ name, params, answer })),
  kinds: spoken.kinds.map(({ kind, entries, signals = {} }) => ({ kind, entries, signals })),
  plain: spoken.plain.map(({ frames }) => frames),
  closeCodes: Object.entries(closeRules).map(([name, { code, reconnect }]) => ({ name, code, reconnect })),
};

test("what travels over the socket is what its version says", () => {
  assert.equal(
    protocolHash,
    hashOf(wire),
    `Something changed that travels over the socket. Would a client of version ${protocolVersion} misunderstand it (a field that it reads is gone or means something else, it is refused what it was allowed)? Then raise protocolVersion, and keep serving the old one or say in CHANGELOG.md that you do not. In any case renew protocolHash in protocol/frames.ts: ${hashOf(wire)}`,
  );
});

test("rewording a description keeps the hash; a field, a bound or a code more does not", () => {
  const before = hashOf(wire);
  const [first, ...rest] = wire.closeCodes;
  const { pong } = serverFrames;
  const reworded = { ...pong, description: "another text" };
  assert.equal(hashOf({ ...wire, serverFrames: { ...serverFrames, pong: reworded } }), before);
  const titled = { ...pong, properties: { ...pong.properties, title: { type: "string" } } };
  for (const changed of [
    { ...wire, serverFrames: { ...serverFrames, pong: titled } },
    { ...wire, serverFrames: { ...serverFrames, pong: { ...pong, maxProperties: 9 } } },
    { ...wire, closeCodes: rest },
    { ...wire, closeCodes: [{ ...first, reconnect: true }, ...rest] },
    { ...wire, version: protocolVersion + 1 },
  ]) {
    assert.notEqual(hashOf(changed), before);
  }
});

/** A schema as the document shows it. */
function plain(schema: object): unknown {
  return JSON.parse(JSON.stringify(schema));
}
