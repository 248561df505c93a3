import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { closeRules } from "../protocol/close-codes.ts";
import { connectBackoff } from "./backoff.ts";
import { createClient } from "./client.ts";
import { askedPauseMaxMs } from "./connection-steps.ts";
import { TidingsError } from "./errors.ts";
import { getTokenMs } from "./tokens.ts";
import { FakeNetwork, FakeSockets, ManualClock, helloFrame, settle } from "./world.fixture.ts";

const codes = [1000, 1001, 1006, 1011, ...Object.values(closeRules).map(({ code }) => code)];

const happening = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("open" as const, "hello" as const, "chatter" as const) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("close" as const), code: fc.constantFrom(...codes) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("pass" as const, "sleep" as const), ms: fc.nat(60_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("online" as const, "offline" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("draining" as const, "expiring" as const, "auth refused" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("tokens" as const),
      how: fc.constantFrom("good", "good", "none", "down", "busy", "slow"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("start" as const, "stop" as const, "subscribe" as const) }),
  },
);

/** Longest pause that any rule allows. */
const pauseMaxMs = askedPauseMaxMs + Math.max(connectBackoff.maxMs, closeRules.rate_limited.waitMaxMs);

test("whatever happens, there is one socket at most, every pause ends, and after stop nothing happens", async () => {
  const random = fc.double({ min: 0, max: 0.999, noNaN: true });
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { minLength: 1, maxLength: 80, size: "max" }),
      fc.infiniteStream(random),
      async (happenings, randoms) => {
        const clock = new ManualClock();
        const sockets = new FakeSockets();
        const network = new FakeNetwork();
        let how = "good";
        let tokens = 0;
        let told = 0;
        const client = createClient({
          url: "http://server",
          credentials: async () => {
            if (how === "slow") return new Promise(() => undefined);
            if (how === "good") return `token-${++tokens}`;
            const busy = how === "busy" ? { status: 429, retryAfterS: 400 } : { status: 0 };
            const retry = how === "none" ? "no" : "later";
            throw new TidingsError({
              code: how === "none" ? "signed_out" : "network",
              retry,
              message: "",
              ...busy,
            });
          },
          clock,
          random: () => randoms.next().value ?? 0,
          network,
          webSocket: sockets.make,
          onError: (error) => assert.fail(String(error)),
        });
        client.connection.subscribe(() => told++);
        let stopped = true;

        for (const one of happenings) {
          const socket = sockets.alive.at(-1);
          const before = told;
          switch (one.do) {
            case "open":
              socket?.open();
              break;
            case "hello":
              socket?.receive(helloFrame(clock));
              break;
            case "chatter":
              socket?.receive({ type: "pong", server_time: "" });
              break;
            case "close":
              socket?.end(one.code);
              break;
            case "pass":
              await clock.pass(one.ms);
              break;
            case "sleep":
              clock.sleep(one.ms);
              break;
            case "online":
            case "offline":
              network.tell(one.do === "online");
              break;
            case "draining":
              socket?.receive({ type: "server.draining", close_within_ms: 5_000 });
              break;
            case "expiring":
              socket?.receive({ type: "token.expiring", expires_at: "" });
              break;
            case "auth refused":
              socket?.receive({
                type: "error",
                id: 0,
                error: { code: "unauthorized", title: "", retry: "no" },
              });
              break;
            case "tokens":
              how = one.how;
              break;
            case "subscribe":
              client.subscribe("room/1", { entry: () => told++ });
              break;
            case "start":
              client.start();
              stopped = false;
              break;
            case "stop":
              client.stop();
              stopped = true;
              assert.equal(sockets.alive.length, 0, "a socket is open after stop");
              break;
          }
          await settle();
          assert.ok(sockets.most <= 1, "two sockets");
          const view = client.connection.get();
          if (stopped && one.do !== "stop") assert.equal(told, before, "something is told after stop");
          if (view.retryAt !== undefined) {
            assert.ok(view.retryAt - clock.now() <= pauseMaxMs, "a pause without end");
            assert.ok(view.state === "waiting" || view.state === "offline");
          }
          const isConnected = view.state === "open" || view.state === "draining";
          assert.ok(!isConnected || sockets.alive.length === 1, "open without a socket");
        }

        // Once all is well, it connects again, unless it was told not to.
        how = "good";
        if (stopped) client.start();
        for (let round = 0; round < 400; round++) {
          const { state } = client.connection.get();
          if (state === "open" || state === "closed") break;
          const socket = sockets.alive.at(-1);
          socket?.open();
          if (state === "authenticating") socket?.receive(helloFrame(clock));
          await clock.pass(1_000);
        }
        const end = client.connection.get();
        assert.ok(end.state === "open" || end.reason !== "stopped", `it ends as ${end.state}`);
        client.stop();
        assert.equal(network.listeners, 0);
        const last = told;
        // The application's own function may still be at it, and is not waited for much longer.
        await clock.pass(getTokenMs);
        assert.equal(clock.timers, 0, "a timer is left");
        assert.equal(told, last);
      },
    ),
    { numRuns: 100 },
  );
});
