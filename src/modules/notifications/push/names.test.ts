import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { test } from "node:test";
import { endsWithin } from "../../../lib/backoff.ts";
import { addressesOf, createOwnNames, nameMaxMs, turnMaxMs } from "./names.ts";
import { openNameServer } from "./names.fixture.ts";

test("names that hang come to an end, and keep nobody from looking up another one", async (t) => {
  const server = await openNameServer(t, { "tarpit.example.org": "silence" });
  // Two name servers: one alone would be given up sooner.
  const servers = [server, server.replace("127.0.0.1", "127.0.0.2")];
  const startMs = performance.now();
  const hanging = Promise.allSettled(
    Array.from({ length: 64 }, () => addressesOf("tarpit.example.org", servers)),
  );
  assert.ok(await endsWithin(lookup("localhost"), 1_000), "on a thread of its own");
  const ends = await hanging;
  assert.ok(ends.every(({ status }) => status === "rejected"));
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < nameMaxMs + 2_000, `${tookMs} ms`);
});

test("a name has the addresses that are known, though nobody says whether there are others", async (t) => {
  const servers = [await openNameServer(t, { "push.example.org": "no IPv6 answer" })];
  const found = addressesOf("push.example.org", servers);
  assert.ok(await endsWithin(found, 1_500));
  assert.deepEqual(await found, [{ address: "1.1.1.1", family: 4 }]);
});

test("names of one's own are looked up as the machine knows them, and one that nobody knows is no address", async () => {
  const addressesOfOwn = createOwnNames();
  const [unknown, localhost] = await Promise.allSettled([
    addressesOfOwn("no such name."),
    addressesOfOwn("localhost"),
  ]);
  assert.equal(unknown.status, "rejected");
  assert.ok(localhost.status === "fulfilled" && localhost.value.length > 0);
  assert.equal(addressesOfOwn("localhost"), addressesOfOwn("localhost"), "asked once for all who wait");
});

test("behind a name of one's own that hangs, others wait a moment and ask the name servers", async (t) => {
  const servers = [await openNameServer(t, { "push.example.org": "no IPv6 answer" })];
  const asked: string[] = [];
  const addressesOfOwn = createOwnNames(
    (hostname) => {
      asked.push(hostname);
      return hostname === "hangs.lan" ? new Promise(() => undefined) : Promise.resolve([]);
    },
    (hostname) => addressesOf(hostname, servers),
  );
  assert.deepEqual(await Promise.all(["a.lan", "b.lan"].map(addressesOfOwn)), [[], []], "in turn");
  void addressesOfOwn("hangs.lan");
  const startMs = performance.now();
  const found = await addressesOfOwn("push.example.org");
  assert.ok(performance.now() - startMs < turnMaxMs + 1_500);
  assert.deepEqual(found, [{ address: "1.1.1.1", family: 4 }]);
  assert.deepEqual(asked, ["a.lan", "b.lan", "hangs.lan"]);
});
