import assert from "node:assert/strict";
import { test } from "node:test";
import { type BannerFacts, bannerLines, baseUrl } from "./banner.ts";

const facts: BannerFacts = {
  version: "0.1.0",
  startedIn: "1.5 s",
  metricsHost: "127.0.0.1",
  roles: ["api", "worker"],
  directory: "/home/me/tidings",
};
const app = {
  api: { host: "127.0.0.1", port: 5000 },
  metricsPort: 2112,
  entrance: { kind: "own" },
} as const;
const key = `tdk_${"k".repeat(43)}`;
const made = { kind: "made", key, file: "/home/me/tidings/.tidings/development-key" } as const;

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
  const text = banner({ ...app, entrance: made }, true);
  assert.ok(text.includes("(it lies in .tidings/development-key)"));
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
  assert.ok(banner({ ...app, entrance: made }, false).includes(`Bearer ${key}`));
});

test("later starts say where the key lies, and nothing once people have keys of their own", () => {
  const kept = banner(
    { ...app, entrance: { kind: "kept", file: "/var/lib/tidings/x/development-key" } },
    false,
  );
  assert.match(kept, /lies in \/var\/lib\/tidings\/x\/development-key/);
  assert.ok(!banner(app, false).includes("key"));
});

test("while nobody has a key, the banner says how to make one", () => {
  const text = banner({ ...app, entrance: { kind: "none" } }, false);
  assert.match(text, /no API key yet[^]*npx tidings key create me --scopes admin/);
});

test("a process without an API shows only what it has", () => {
  const worker = bannerLines(
    { metricsPort: 1, entrance: { kind: "none" } },
    { ...facts, roles: ["worker"] },
    { live: false, style: (_style, text) => text },
  );
  assert.deepEqual(worker, [
    "Tidings 0.1.0 is ready (1.5 s)",
    "  Role     worker",
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
