import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isUuid } from "../protocol/ids.ts";
import { TidingsError, clientError } from "./errors.ts";
import {
  type QueuedMessage,
  queueBytesMax,
  queueMessagesMax,
  sendsInFlightMax,
  storedText,
} from "./queued-message.ts";
import { byteLength } from "./requests.ts";
import { SendQueue, foreignAnswersMax } from "./send-queue.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import { ManualClock, outcomeOf, settle } from "./world.fixture.ts";

type Delivery = {
  readonly message: QueuedMessage;
  readonly signal: AbortSignal;
} & PromiseWithResolvers<unknown>;

/** A queue, and its deliveries, which the test answers. */
function device(storage: ClientStorage = memoryStorage(), clock = new ManualClock()) {
  const deliveries: Delivery[] = [];
  const acknowledged: string[] = [];
  const queue = new SendQueue({
    storage,
    prefix: "outbox/7/",
    clock,
    random: () => 0.5,
    onError: (error) => assert.fail(String(error)),
    deliver: (message, signal) => {
      const delivery = { message, signal, ...Promise.withResolvers<unknown>() };
      deliveries.push(delivery);
      return delivery.promise.then(() => () => acknowledged.push(message.client_msg_id));
    },
  });
  const statuses = (): readonly string[] =>
    queue.messages.get().map(({ content, status }) => `${content} ${status}`);
  return { queue, storage, clock, deliveries, acknowledged, statuses };
}

function refusal(status: number, code: TidingsError["code"], retryAfterS?: number): TidingsError {
  const retry = status === 429 || status >= 500 ? "later" : "no";
  return new TidingsError({ code, status, retry, message: code, retryAfterS });
}

test("a message is stored before it is sent, and gone when the server has it", async () => {
  const stored = Promise.withResolvers<void>();
  const memory = memoryStorage();
  const { queue, deliveries, acknowledged, statuses } = device({
    ...memory,
    save: async (key, text) => {
      await stored.promise;
      await memory.save(key, text);
    },
  });
  await queue.start();
  const id = queue.send({ roomId: 1, content: "hi", replyTo: "m1" });
  await settle();
  assert.deepEqual(statuses(), ["hi queued"]);
  assert.equal(deliveries.length, 0);
  stored.resolve();
  assert.ok(isUuid(await id));
  assert.deepEqual(statuses(), ["hi in_flight"]);
  const [delivery] = deliveries;
  assert.equal(delivery?.message.reply_to, "m1");
  assert.equal((await memory.load("outbox/7/")).size, 1);
  delivery?.resolve(undefined);
  await settle();
  assert.deepEqual(statuses(), []);
  assert.deepEqual(acknowledged, [await id]);
  assert.equal((await memory.load("")).size, 0);
});

test("what was written before a reload is sent after it, in order and with the same ids", async () => {
  const first = device();
  await first.queue.start();
  const ids = [];
  for (const content of ["one", "two", "three"]) {
    ids.push(await first.queue.send({ roomId: 1, content }));
  }
  assert.equal(first.deliveries.length, 1);

  const second = device(first.storage, first.clock);
  await second.queue.start();
  await settle();
  for (let i = 0; i < 3; i++) {
    const delivery = second.deliveries[i];
    delivery?.resolve(undefined);
    await settle();
  }
  assert.deepEqual(
    second.deliveries.map(({ message }) => message.client_msg_id),
    ids,
  );
  assert.equal((await second.storage.load("")).size, 0);
});

test("nobody sends what another person wrote on the same device", async () => {
  const { queue, storage } = device();
  await queue.start();
  await queue.send({ roomId: 1, content: "secret" });
  const other = new SendQueue({
    storage,
    prefix: "outbox/70/",
    clock: new ManualClock(),
    random: () => 0,
    onError: () => undefined,
    deliver: () => assert.fail("sent"),
  });
  await other.start();
  assert.deepEqual(other.messages.get(), []);
});

test("of a room one message is on its way, of all rooms a few", async () => {
  const { queue, deliveries } = device();
  await queue.start();
  for (let room = 1; room <= sendsInFlightMax + 1; room++) {
    await queue.send({ roomId: room, content: "a" });
    await queue.send({ roomId: room, content: "b" });
  }
  assert.deepEqual(
    deliveries.map(({ message }) => message.room_id),
    Array.from({ length: sendsInFlightMax }, (_, i) => i + 1),
  );
  deliveries[0]?.resolve(undefined);
  await settle();
  assert.equal(deliveries.length, sendsInFlightMax + 1);
});

test("what the network loses and the server cannot take is sent again with the same id, after a pause", async () => {
  const failures = [
    clientError("network"),
    clientError("timeout"),
    clientError("disconnected"),
    clientError("unexpected_answer"),
    refusal(503, "overloaded"),
    refusal(500, "internal"),
    refusal(429, "rate_limited"),
    clientError("signed_out"),
    refusal(401, "unauthorized"),
  ];
  const { queue, clock, deliveries, statuses } = device();
  await queue.start();
  await queue.send({ roomId: 1, content: "hi" });
  await queue.send({ roomId: 1, content: "behind" });
  for (const [i, failure] of failures.entries()) {
    deliveries[i]?.reject(failure);
    await settle();
    assert.deepEqual(statuses(), ["hi queued", "behind queued"], failure.code);
    const ceiling = Math.min(20_000, 500 * 2 ** i);
    await clock.pass(ceiling / 2 - 1);
    assert.equal(deliveries.length, i + 1, `${failure.code} is retried too soon`);
    await clock.pass(1);
    assert.equal(deliveries.length, i + 2, failure.code);
  }
  const ids = new Set(deliveries.map(({ message }) => message.client_msg_id));
  assert.equal(ids.size, 1);
});

test("what the server refuses is failed, visible, stored, and holds up nothing", async () => {
  const { queue, storage, clock, deliveries, statuses } = device();
  await queue.start();
  await queue.send({ roomId: 1, content: "bad" });
  await queue.send({ roomId: 1, content: "good" });
  deliveries[0]?.reject(refusal(403, "forbidden"));
  await settle();
  assert.deepEqual(statuses(), ["bad failed", "good in_flight"]);
  assert.deepEqual(queue.messages.get()[0]?.error, { code: "forbidden", message: "forbidden" });

  const second = device(storage, clock);
  await second.queue.start();
  assert.deepEqual(second.statuses(), ["bad failed", "good in_flight"]);
  assert.deepEqual(second.queue.messages.get()[0]?.error, { code: "forbidden", message: "forbidden" });
});

test("a failed message is sent once more as a new one, or discarded", async () => {
  const { queue, storage, deliveries, statuses } = device();
  await queue.start();
  const id = await queue.send({ roomId: 1, content: "bad", replyTo: "m1" });
  assert.equal(await outcomeOf(queue.resend(id)), "not_failed");
  assert.equal(await queue.discard(id), false);
  deliveries[0]?.reject(refusal(422, "idempotency_mismatch"));
  await settle();
  const again = await queue.resend(id);
  assert.notEqual(again, id);
  assert.deepEqual(statuses(), ["bad in_flight"]);
  assert.equal(deliveries[1]?.message.reply_to, "m1");
  deliveries[1]?.reject(refusal(400, "invalid_body"));
  await settle();
  assert.equal(await queue.discard(again), true);
  assert.equal(await queue.discard(again), false);
  assert.deepEqual(statuses(), []);
  assert.equal((await storage.load("")).size, 0);
});

test("a failed message that is sent once more twice at once is sent once", async () => {
  const { queue, deliveries, statuses } = device();
  await queue.start();
  const id = await queue.send({ roomId: 1, content: "bad" });
  deliveries[0]?.reject(refusal(400, "invalid_body"));
  await settle();
  const [first, second] = [queue.resend(id), queue.resend(id)];
  assert.equal(await outcomeOf(second), "not_failed");
  assert.notEqual(await first, id);
  await settle();
  assert.deepEqual(statuses(), ["bad in_flight"]);
  assert.equal(deliveries.length, 2);
});

test("a failed message that is discarded, or that the server has, while the storage works is not sent once more", async () => {
  for (const [end, slow] of [
    ["discard", "load"],
    ["confirm", "load"],
    ["discard", "save"],
    ["confirm", "save"],
  ] as const) {
    const memory = memoryStorage();
    let working = Promise.resolve();
    const { queue, deliveries } = device({
      ...memory,
      load: async (prefix) => {
        const found = await memory.load(prefix);
        if (slow === "load") await working;
        return found;
      },
      save: async (key, text) => {
        await memory.save(key, text);
        if (slow === "save") await working;
      },
    });
    await queue.start();
    const id = await queue.send({ roomId: 1, content: "once" });
    deliveries[0]?.reject(refusal(400, "invalid_body"));
    await settle();
    const { promise, resolve } = Promise.withResolvers<void>();
    working = promise;
    const again = queue.resend(id);
    await settle();
    await queue[end](id);
    resolve();
    assert.equal(await outcomeOf(again), "not_failed", `${end} ${slow}`);
    assert.equal(deliveries.length, 1);
    assert.deepEqual(queue.messages.get(), []);
    assert.equal((await memory.load("")).size, 0);
  }
});

test("a repetition that is discarded while it is stored leaves the failed message where it was", async () => {
  const memory = memoryStorage();
  let working = Promise.resolve();
  const { queue, deliveries, statuses } = device({
    ...memory,
    save: async (key, text) => {
      await memory.save(key, text);
      await working;
    },
  });
  await queue.start();
  const id = await queue.send({ roomId: 1, content: "once" });
  deliveries[0]?.reject(refusal(400, "invalid_body"));
  await settle();
  const { promise, resolve } = Promise.withResolvers<void>();
  working = promise;
  const again = queue.resend(id);
  await settle();
  assert.equal(await queue.discard(queue.messages.get().at(-1)?.client_msg_id ?? ""), true);
  resolve();
  await again;
  assert.deepEqual(statuses(), ["once failed"]);
  assert.deepEqual([...(await memory.load("")).keys()], [`outbox/7/${id}`]);
});

test("a message to which somebody in front of the server objects so often fails, and holds up its room no longer", async () => {
  const { queue, clock, deliveries, statuses } = device();
  await queue.start();
  await queue.send({ roomId: 1, content: "disliked" });
  await queue.send({ roomId: 1, content: "fine" });
  const answer = async (code: "network" | "unexpected_answer"): Promise<void> => {
    assert.deepEqual(statuses(), ["disliked in_flight", "fine queued"]);
    deliveries.at(-1)?.reject(clientError(code));
    await clock.pass(20_000);
  };
  // A long time without a network, or a page between, is something else.
  await answer("unexpected_answer");
  for (let n = 0; n <= foreignAnswersMax; n++) await answer("network");
  for (let n = 0; n <= foreignAnswersMax; n++) await answer("unexpected_answer");
  assert.deepEqual(statuses(), ["disliked failed", "fine in_flight"]);
  assert.equal(queue.messages.get()[0]?.error?.code, "unexpected_answer");
  // Each has its own attempts.
  deliveries.at(-1)?.reject(clientError("unexpected_answer"));
  await settle();
  assert.deepEqual(statuses(), ["disliked failed", "fine queued"]);
});

test("a message that is discarded while it is stored is not sent, and not left behind", async () => {
  const stored = Promise.withResolvers<void>();
  const memory = memoryStorage();
  const { queue, deliveries } = device({
    ...memory,
    save: async (key, text) => {
      await stored.promise;
      await memory.save(key, text);
    },
  });
  await queue.start();
  const sending = queue.send({ roomId: 1, content: "oops" });
  const [message] = queue.messages.get();
  assert.equal(await queue.discard(message?.client_msg_id ?? ""), true);
  stored.resolve();
  await sending;
  assert.equal(deliveries.length, 0);
  assert.equal((await memory.load("")).size, 0);
});

test("an entry that says that the server has it ends a message, also when the answer was lost", async () => {
  const { queue, clock, deliveries, statuses } = device();
  await queue.start();
  const id = await queue.send({ roomId: 1, content: "one" });
  await queue.send({ roomId: 1, content: "two" });
  queue.confirm(id);
  await settle();
  assert.deepEqual(statuses(), ["two in_flight"]);
  deliveries[0]?.reject(clientError("network"));
  await clock.pass(60_000);
  assert.deepEqual(statuses(), ["two in_flight"]);
  assert.equal(deliveries.length, 2);
});

test("a connection that comes back ends pauses, but not those that the server has asked for", async () => {
  const { queue, clock, deliveries } = device();
  await queue.start();
  await queue.send({ roomId: 1, content: "own pause" });
  await queue.send({ roomId: 2, content: "asked pause" });
  deliveries[0]?.reject(clientError("network"));
  deliveries[1]?.reject(refusal(429, "rate_limited", 30));
  await settle();
  queue.hurry();
  await settle();
  assert.equal(deliveries.length, 3);
  assert.equal(deliveries[2]?.message.content, "own pause");
  await clock.pass(30_250);
  assert.equal(deliveries.length, 4);
});

test("a message that cannot be stored is not queued", async () => {
  const memory = memoryStorage();
  const { queue, statuses, deliveries } = device({
    ...memory,
    save: () => Promise.reject(new Error("no room")),
  });
  await queue.start();
  assert.equal(await outcomeOf(queue.send({ roomId: 1, content: "hi" })), "storage_failed");
  assert.deepEqual(statuses(), []);
  assert.equal(deliveries.length, 0);
});

test("a storage that cannot be read is an error, and read again by the next start", async () => {
  const memory = memoryStorage();
  let broken = true;
  const { queue, statuses } = device({
    ...memory,
    load: (prefix) => (broken ? Promise.reject(new Error("locked")) : memory.load(prefix)),
  });
  assert.equal(await outcomeOf(queue.start()), "storage_failed");
  await memory.save("outbox/7/none", "{}");
  await memory.save("outbox/7/bad", "{");
  broken = false;
  await queue.start();
  // What another version has written is not sent.
  assert.deepEqual(statuses(), []);
});

test("one message more than may wait is refused", async () => {
  const { queue } = device();
  for (let i = 0; i < queueMessagesMax; i++) await queue.send({ roomId: 1, content: "a" });
  assert.equal(await outcomeOf(queue.send({ roomId: 1, content: "b" })), "queue_full");
  assert.equal(queue.messages.get().length, queueMessagesMax);
});

test("one byte more than the storage is given is refused", async () => {
  const { queue } = device();
  await queue.send({ roomId: 1, content: "" });
  const [one] = queue.messages.get();
  assert.ok(one !== undefined);
  // The next one is as long as the first, but for its text.
  const room = queueBytesMax - 2 * byteLength(storedText(one));
  const text = "я".repeat(room >> 1) + "a".repeat(room & 1);
  assert.equal(await outcomeOf(queue.send({ roomId: 1, content: `${text}a` })), "queue_full");
  await queue.send({ roomId: 1, content: text });
  assert.equal(queue.messages.get().length, 2);
});

test("two tabs that share a storage lose nothing of each other's", async () => {
  const storage = memoryStorage();
  const [one, two] = [device(storage), device(storage)];
  await one.queue.start();
  await two.queue.start();
  await one.queue.send({ roomId: 1, content: "from one" });
  await two.queue.send({ roomId: 1, content: "from two" });
  const third = device(storage);
  await third.queue.start();
  assert.deepEqual(third.statuses().toSorted(), ["from one in_flight", "from two queued"]);
});

test("what is discarded or sent in one tab is not sent by another that has read it", async () => {
  const storage = memoryStorage();
  const clock = new ManualClock();
  const [one, two] = [device(storage, clock), device(storage, clock)];
  const ids = [];
  for (const content of ["discarded", "sent"]) ids.push(await one.queue.send({ roomId: 1, content }));
  // Written without a network, and so not begun with: the other tab reads both.
  await two.queue.start();
  await settle();
  two.deliveries[0]?.reject(clientError("network"));
  await settle();
  assert.deepEqual(two.statuses(), ["discarded queued", "sent queued"]);
  assert.equal(await one.queue.discard(ids[0] ?? ""), true);
  one.queue.confirm(ids[1] ?? "");
  await clock.pass(30_000);
  assert.equal(two.deliveries.length, 1);
  assert.deepEqual(two.statuses(), []);

  // The same the other way round, where the one that has written it waits.
  await one.queue.start();
  const id = await one.queue.send({ roomId: 1, content: "written here" });
  one.deliveries.at(-1)?.reject(clientError("network"));
  await settle();
  const third = device(storage, clock);
  await third.queue.start();
  third.queue.stop();
  assert.equal(await third.queue.discard(id), true);
  const before = one.deliveries.length;
  await clock.pass(30_000);
  assert.equal(one.deliveries.length, before);
  assert.deepEqual(one.statuses(), []);
});

test("a refused message that was discarded in another tab does not come back, and is not sent again from there", async () => {
  const storage = memoryStorage();
  const [one, two] = [device(storage), device(storage)];
  const id = await one.queue.send({ roomId: 1, content: "bad" });
  await two.queue.start();
  await settle();
  assert.equal(await one.queue.discard(id), true);
  two.deliveries[0]?.reject(refusal(400, "invalid_body"));
  await settle();
  assert.deepEqual(two.statuses(), []);
  assert.equal((await storage.load("")).size, 0);

  await one.queue.start();
  const again = await one.queue.send({ roomId: 1, content: "bad" });
  one.deliveries.at(-1)?.reject(refusal(400, "invalid_body"));
  await settle();
  const third = device(storage);
  await third.queue.start();
  assert.deepEqual([one.statuses(), third.statuses()], [["bad failed"], ["bad failed"]]);
  assert.equal(await third.queue.discard(again), true);
  assert.equal(await outcomeOf(one.queue.resend(again)), "not_failed");
  assert.deepEqual(one.statuses(), []);
});

/** A storage that has read what it is asked for, and answers when the test says so, if that is wanted. */
function slowStorage() {
  const memory = memoryStorage();
  const gate = { open: Promise.withResolvers<void>(), held: false };
  const load: ClientStorage["load"] = async (prefix) => {
    const found = await memory.load(prefix);
    if (gate.held) await gate.open.promise;
    return found;
  };
  return { storage: { ...memory, load }, gate };
}

test("what is stopped while the storage is asked for it is not sent", async () => {
  const { storage, gate } = slowStorage();
  const { queue, clock, deliveries, statuses } = device(storage);
  await queue.start();
  await queue.send({ roomId: 1, content: "hi" });
  deliveries[0]?.reject(clientError("network"));
  await settle();
  gate.held = true;
  await clock.pass(30_000);
  assert.deepEqual(statuses(), ["hi in_flight"]);
  queue.stop();
  gate.open.resolve();
  await settle();
  assert.equal(deliveries.length, 1);
  assert.deepEqual(statuses(), ["hi queued"]);
});

test("a refused message that is discarded while the storage is asked for it does not come back", async () => {
  const { storage, gate } = slowStorage();
  const { queue, deliveries, statuses } = device(storage);
  await queue.start();
  const id = await queue.send({ roomId: 1, content: "bad" });
  gate.held = true;
  deliveries[0]?.reject(refusal(400, "invalid_body"));
  await settle();
  assert.deepEqual(statuses(), ["bad failed"]);
  assert.equal(await queue.discard(id), true);
  gate.open.resolve();
  await settle();
  assert.equal((await storage.load("")).size, 0);
});

/** Where each message is that was ever written. */
type Ledger = Map<string, "acknowledged" | "discarded">;

test("whatever happens, every message is in exactly one place, and a room's arrive in order", async () => {
  const happening = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("send" as const), room: fc.integer({ min: 1, max: 3 }) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("answer" as const),
        which: fc.nat(5),
        how: fc.constantFrom("done", "done", "lost", "busy", "refused", "answer lost"),
      }),
    },
    fc.record({ do: fc.constant("wait" as const), ms: fc.nat(20_000) }),
    fc.record({ do: fc.constant("entry" as const), which: fc.nat(9) }),
    fc.record({ do: fc.constantFrom("resend" as const, "discard" as const), which: fc.nat(9) }),
    fc.record({ do: fc.constantFrom("hurry" as const, "reload" as const, "pause" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 40, size: "max" }), async (happenings) => {
      const storage = memoryStorage();
      const clock = new ManualClock();
      let now = device(storage, clock);
      await now.queue.start();
      const ledger: Ledger = new Map();
      const written: string[] = [];
      /** What the server has, in the order in which it came. */
      const arrived: { readonly id: string; readonly room: number; readonly text: number }[] = [];
      let texts = 0;

      const arrive = ({ client_msg_id: id, room_id: room, content }: QueuedMessage): void => {
        if (!arrived.some((one) => one.id === id)) arrived.push({ id, room, text: Number(content) });
      };
      const check = (): void => {
        for (const id of now.acknowledged) ledger.set(id, "acknowledged");
        const here = now.queue.messages.get();
        assert.equal(new Set(here.map(({ client_msg_id }) => client_msg_id)).size, here.length);
        for (const id of written) {
          const places =
            here.filter(({ client_msg_id }) => client_msg_id === id).length + (ledger.has(id) ? 1 : 0);
          assert.equal(places, 1, `${id} is in ${places} places`);
        }
        for (const room of [1, 2, 3]) {
          const underway = here.filter(({ room_id, status }) => room_id === room && status === "in_flight");
          assert.ok(underway.length <= 1);
        }
      };

      for (const happening of happenings) {
        const here = now.queue.messages.get();
        const open = now.deliveries.filter(({ message }) =>
          here.some((one) => one.client_msg_id === message.client_msg_id && one.status === "in_flight"),
        );
        if (happening.do === "send") {
          written.push(await now.queue.send({ roomId: happening.room, content: String(++texts) }));
        } else if (happening.do === "answer" && open.length > 0) {
          const delivery = open[happening.which % open.length];
          if (delivery === undefined) continue;
          const { message, resolve, reject } = delivery;
          if (happening.how === "done" || happening.how === "answer lost") arrive(message);
          if (happening.how === "done") resolve(undefined);
          else if (happening.how === "busy") reject(refusal(503, "overloaded", 1));
          else if (happening.how === "refused") reject(refusal(400, "invalid_body"));
          else reject(clientError("network"));
        } else if (happening.do === "wait") await clock.pass(happening.ms);
        else if (happening.do === "entry" && arrived.length > 0) {
          const id = arrived[happening.which % arrived.length]?.id ?? "";
          if (here.some(({ client_msg_id }) => client_msg_id === id)) ledger.set(id, "acknowledged");
          now.queue.confirm(id);
        } else if ((happening.do === "resend" || happening.do === "discard") && here.length > 0) {
          const id = here[happening.which % here.length]?.client_msg_id ?? "";
          if (happening.do === "discard") {
            if (await now.queue.discard(id)) ledger.set(id, "discarded");
          } else {
            const again = await now.queue.resend(id).catch(() => undefined);
            if (again !== undefined) {
              written.push(again);
              ledger.set(id, "discarded");
            }
          }
        } else if (happening.do === "hurry") now.queue.hurry();
        else if (happening.do === "pause") {
          now.queue.stop();
          assert.equal(clock.timers, 0);
          await now.queue.start();
        } else if (happening.do === "reload") {
          await settle();
          check();
          now.queue.stop();
          now = device(storage, clock);
          await now.queue.start();
        }
        await settle();
        check();
      }
      // From here on everything goes well, and everything arrives that was not refused.
      for (let round = 0; round < 200; round++) {
        for (const { message, resolve } of now.deliveries) {
          const one = now.queue.messages.get().find(({ client_msg_id: id }) => id === message.client_msg_id);
          if (one?.status !== "in_flight") continue;
          arrive(message);
          resolve(undefined);
        }
        await clock.pass(1_000);
        check();
        if (now.queue.messages.get().every(({ status }) => status === "failed")) break;
      }
      assert.ok(now.queue.messages.get().every(({ status }) => status === "failed"));
      for (const room of [1, 2, 3]) {
        const order = arrived.filter((one) => one.room === room).map(({ id }) => written.indexOf(id));
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
          "not in the order in which they were written",
        );
      }
    }),
    { numRuns: 60 },
  );
});
