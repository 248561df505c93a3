import assert from "node:assert/strict";
import { test } from "node:test";
import type { SignedIn } from "../protocol/accounts.ts";
import { closeRules } from "../protocol/close-codes.ts";
import { ann } from "./account-server.fixture.ts";
import { createClient } from "./client.ts";
import { stableMs } from "./connection-link.ts";
import { FakeNetwork, FakeSockets, ManualClock, fakeFetch, settle } from "./world.fixture.ts";

/** A client that is signed in and connected, whose server says that its sign-in is over and renews it all the same. */
async function contradicted() {
  const clock = new ManualClock();
  const sockets = new FakeSockets();
  let issued = 0;
  const client = createClient({
    url: "http://server",
    clock,
    random: () => 0.5,
    webSocket: sockets.make,
    network: new FakeNetwork(),
    fetch: fakeFetch(() => {
      const n = ++issued;
      const body: SignedIn = {
        access_token: `access-${n}`,
        token_type: "Bearer",
        expires_in: 900,
        refresh_token: `refresh-${n}`,
        user: ann,
      };
      return { status: 200, body };
    }),
  });
  await client.accounts.login({ login: "ann", password: "correct horse" });
  client.start();
  await settle();
  const end = async (): Promise<void> => {
    (await sockets.welcome(clock)).end(closeRules.session_ended.code);
    await settle();
  };
  return { clock, sockets, client, end };
}

test("a connection that is told again and again that its good sign-in is over comes back after growing pauses", async () => {
  const { clock, sockets, client, end } = await contradicted();
  await end();
  assert.equal(sockets.all.length, 2, "at once the first time");
  for (const pauseMs of [250, 400, 640]) {
    const sofar: number = sockets.all.length;
    await end();
    await clock.pass(pauseMs - 1);
    assert.equal(sockets.all.length, sofar);
    await clock.pass(1);
    assert.equal(sockets.all.length, sofar + 1);
  }
  // One that has lasted was a success.
  await sockets.welcome(clock);
  await clock.pass(stableMs);
  const before = sockets.all.length;
  sockets.last.end(closeRules.session_ended.code);
  await settle();
  assert.equal(sockets.all.length, before + 1);
  client.stop();
  assert.equal(clock.timers, 0);
});

test("in the pause before it comes back a connection is stopped, and started, as in any other", async () => {
  const { clock, sockets, client, end } = await contradicted();
  await end();
  await end();
  assert.equal(clock.timers, 1);
  client.stop();
  assert.equal(clock.timers, 0);
  await clock.pass(60_000);
  assert.equal(sockets.all.length, 2);
  client.start();
  await settle();
  await end();
  client.start();
  await settle();
  assert.equal(sockets.all.length, 4, "at once");
  client.stop();
  assert.equal(clock.timers, 0);
});
