import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import { test } from "node:test";
import type { TSchema } from "typebox";
import { SeedMessage, SeedNewMessage } from "../protocol/chat.ts";
import { closeRules } from "../protocol/close-codes.ts";
import { clientFrames, serverFrames } from "../protocol/frames.ts";
import { limits } from "../protocol/limits.ts";
import { SeedPush, SeedRead, SeedReadAck } from "../protocol/notifications.ts";
import { createCheck } from "../src/schema/check.ts";

/** What docs/protocol.md shows of the WebSocket is what the schemas say. */

const text = await readFile(new URL("../docs/protocol.md", import.meta.url), "utf8");

/** A frame of the conversation in the text: `→` is sent by a client, `←` by the server. */
type Shown = { readonly line: string; readonly from: "client" | "server"; readonly frame: { type?: string } };

function framesOf(text: string): readonly Shown[] {
  return [...text.matchAll(/^([→←]) (\{.*\})$/gm)].map(([line, arrow, json = ""]) => ({
    line,
    from: arrow === "→" ? "client" : "server",
    frame: JSON.parse(json) as { type?: string },
  }));
}

/** The frames of seed 004, beside those of the protocol. */
const seedFrames: Readonly<Record<string, TSchema>> = {
  "notification.push": SeedPush,
  "notification.read": SeedRead,
  "notification.read.ack": SeedReadAck,
};

function schemaOf({ from, frame: { type } }: Shown): TSchema | undefined {
  if (type === undefined) return from === "client" ? SeedNewMessage : SeedMessage;
  const frames: Readonly<Record<string, TSchema>> = from === "client" ? clientFrames : serverFrames;
  return frames[type] ?? seedFrames[type];
}

/** What is wrong with frames that are shown. */
function faultsOf(shown: readonly Shown[]): readonly string[] {
  return shown.flatMap((one) => {
    const schema = schemaOf(one);
    if (schema === undefined) return [`${one.line}: there is no such frame`];
    return (createCheck(schema)(one.frame) ?? []).map(
      ({ pointer, detail }) => `${one.line}: ${pointer} ${detail}`,
    );
  });
}

test("every frame that docs/protocol.md shows fits its schema, and there is one of each type", () => {
  const shown = framesOf(text);
  assert.deepEqual(faultsOf(shown), []);
  for (const [from, frames] of Object.entries({ client: clientFrames, server: serverFrames })) {
    const types = new Set(shown.filter((one) => one.from === from).map(({ frame }) => frame.type));
    assert.deepEqual(
      Object.keys(frames).filter((type) => !types.has(type)),
      [],
      from,
    );
  }
});

test("a frame that does not fit is found", () => {
  assert.equal(faultsOf(framesOf('→ {"type":"ping","id":1}\n← {"type":"ping"}\n→ {"content":1}')).length, 3);
});

test("the greeting that docs/protocol.md shows names the limits that hold", () => {
  const hello = framesOf(text).find(({ frame }) => frame.type === "hello");
  const { limits: shown } = (hello?.frame ?? {}) as { limits?: Record<string, number> };
  assert.deepEqual(
    [shown?.["frame_bytes"], shown?.["topics"], shown?.["topics_per_frame"], shown?.["requests_in_flight"]],
    [limits.frameBytes, limits.topicsPerConnection, limits.topicsPerFrame, limits.requestsInFlight],
  );
});

type CloseRow = {
  readonly name: string;
  readonly code: number;
  readonly meaning: string;
  readonly reconnect: boolean;
  readonly waitMaxMs: number;
};

function closeRowsOf(text: string): readonly CloseRow[] {
  const rows = text.matchAll(/^\| (\d{4}) +\| `([a-z_]+)` +\| (yes|no) +\| (?:(\d+) s)? *\| (.*?) +\|$/gm);
  return [...rows].map(([, code, name = "", reconnect, waitS = "0", meaning = ""]) => ({
    name,
    code: Number(code),
    meaning,
    reconnect: reconnect === "yes",
    waitMaxMs: Number(waitS) * 1_000,
  }));
}

test("docs/protocol.md lists every close code once, in order, with what a client does then", () => {
  const expected = Object.entries(closeRules).map(([name, rule]) => ({ name, ...rule }));
  assert.deepEqual(closeRowsOf(text), expected);
});

test("a row with another pause is read as such", () => {
  assert.deepEqual(closeRowsOf("| 4103 | `draining` | yes | 9 s | It goes |"), [
    { name: "draining", code: 4103, meaning: "It goes", reconnect: true, waitMaxMs: 9_000 },
  ]);
});

test("docs/architecture.md says what each file of the gateway is for", async () => {
  const map = await readFile(new URL("../docs/architecture.md", import.meta.url), "utf8");
  const missing: string[] = [];
  for await (const file of glob("src/gateway/*.ts")) {
    if (!/\.(test|fixture)\.ts$/.test(file) && !map.includes(`\`${file}\``)) missing.push(file);
  }
  assert.deepEqual(missing, []);
});
