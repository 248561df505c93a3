import assert from "node:assert/strict";
import { test } from "node:test";
import { bannerLines, baseUrl } from "./banner.ts";

const facts = { version: "0.1.0", startedIn: "1.5 s", host: "127.0.0.1", dataDir: "/data" };
const app = { api: { host: "127.0.0.1", port: 5000 }, metricsPort: 2112 };
const key = `tdk_${"k".repeat(43)}`;

function banner(running: Parameters<typeof bannerLines>[0], live: boolean): string {
  return bannerLines(running, facts, { live, style: (_style, text) => text }).join("\n");
}

test("the banner says where the API, its page and the metrics are", () => {
  const text = banner(app, true);
  assert.match(text, /ready \(1\.5 s\)/);
  for (const address of ["5000\n", "5000/docs", "2112/metrics"])
    assert.ok(text.includes(`http://127.0.0.1:${address}`));
  assert.ok(!text.includes("curl"));
});

test("on the very first start a terminal shows the key and commands that can be pasted", () => {
  const text = banner({ ...app, firstRun: { key } }, true);
  assert.ok(text.includes("/data/development-key"));
  const webhook = text.split("\n").find((line) => line.includes("/api/v1/webhook")) ?? "";
  assert.ok(webhook.includes(`-H 'Authorization: Bearer ${key}'`));
  const body = /-d '(.*)'$/.exec(webhook)?.[1] ?? "";
  assert.deepEqual(JSON.parse(body), {
    external_message_id: "1a2b3c4d5e6f7890abcdef1234567890",
    external_client_id: "fedcba0987654321abcdef1234567890",
    client_phone: "+79194961182",
    message_text: "Привет!",
    send_at: 1640995200,
  });
  assert.match(text, /curl http:\/\/127\.0\.0\.1:5000\/api\/v1\/dialogs/);
});

test("the key is shown outside a terminal too: a first start is often watched through a pipe", () => {
  assert.ok(banner({ ...app, firstRun: { key } }, false).includes(`Bearer ${key}`));
});

test("a process without an API shows only what it has", () => {
  assert.deepEqual(banner({ metricsPort: 1 }, false).split("\n"), [
    "Tidings 0.1.0 is ready (1.5 s)",
    "  Metrics  http://127.0.0.1:1/metrics",
  ]);
});

test("addresses are written so that this machine reaches them", () => {
  assert.equal(baseUrl("0.0.0.0", 1), "http://127.0.0.1:1");
  assert.equal(baseUrl("::", 1), "http://127.0.0.1:1");
  assert.equal(baseUrl("::1", 1), "http://[::1]:1");
  assert.equal(baseUrl("[::1]", 1), "http://[::1]:1");
  assert.equal(baseUrl("chat.example", 1), "http://chat.example:1");
});
