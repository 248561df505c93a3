import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AccountServer, ann, bob } from "./account-server.fixture.ts";
import { describedKey, sessionKey } from "./kept-session.ts";
import { storageMs } from "./reporting-storage.ts";
import { tokensKnownMax } from "./session.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";
import { callTimeoutMs } from "./transport.ts";
import { ManualClock, outcomeOf, settle, verdictOf } from "./world.fixture.ts";

/** Until a token has to be renewed, and a bit. */
const nearlyOverMs = 895_000;
const password = "correct horse";

/** Two tabs of one device in which ann is signed in. */
async function twoTabs() {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const storage = memoryStorage();
  const [one, two] = [server.tab("one", storage), server.tab("two", storage)];
  await one.accounts.login({ login: "ann", password });
  await two.whoAmI();
  return { clock, server, storage, one, two };
}

async function storedToken(storage: ClientStorage): Promise<string> {
  return (await storage.load(sessionKey)).get(sessionKey) ?? "";
}

async function stored(storage: ClientStorage): Promise<string> {
  const text = await storedToken(storage);
  if (text === "") return "nothing";
  const { refreshToken, account } = JSON.parse(text) as {
    refreshToken: string;
    account: { username: string };
  };
  return `${refreshToken} of ${account.username}`;
}

test("a renewal does not undo that somebody else has signed in in another tab, nor ask in their name", async () => {
  const { clock, server, storage, one, two } = await twoTabs();
  clock.sleep(nearlyOverMs);
  server.hold("one");
  const asked = verdictOf(one.accounts.rename("Annabel"));
  await settle();
  await two.accounts.login({ login: "bob", password });
  const ofBob = await stored(storage);
  server.release("one");
  assert.equal(await asked, "signed_out");
  assert.equal(await stored(storage), ofBob);
  assert.deepEqual(one.account.get(), bob);
  clock.sleep(nearlyOverMs);
  assert.deepEqual([await two.accounts.me(), await one.accounts.me()], [bob, bob]);
});

test("a call that began before somebody else signed in here is not repeated in their name", async () => {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const storage = memoryStorage();
  const client = server.tab("one", storage);
  await client.accounts.login({ login: "ann", password });
  const token = await storedToken(storage);
  await client.accounts.logout();
  await storage.save(sessionKey, token);
  server.hold("one");
  // The server's refusal is on its way.
  const rename = verdictOf(client.accounts.rename("Annabel"));
  await settle();
  await client.accounts.login({ login: "bob", password });
  server.release("one");
  assert.equal(await rename, "signed_out");
  assert.deepEqual(await client.accounts.me(), bob);
});

test("a renewal does not undo a sign-out in another tab", async () => {
  const { clock, server, storage, one, two } = await twoTabs();
  clock.sleep(nearlyOverMs);
  server.hold("one");
  const asked = verdictOf(one.accounts.me());
  await settle();
  await two.accounts.logout();
  server.release("one");
  assert.equal(await asked, "signed_out");
  assert.equal(await stored(storage), "nothing");
  assert.equal(one.account.get(), undefined);
});

test("a tab that wakes up with an old answer puts no used token back", async () => {
  const { clock, server, storage, one, two } = await twoTabs();
  clock.sleep(nearlyOverMs);
  server.hold("one");
  const asked = verdictOf(one.accounts.me());
  await settle();
  for (let round = 0; round < 2; round++) {
    await two.accounts.me();
    clock.sleep(nearlyOverMs);
  }
  await two.accounts.me();
  const newest = await stored(storage);
  server.release("one");
  assert.deepEqual(await asked, ann);
  assert.equal(await stored(storage), newest);
  clock.sleep(nearlyOverMs);
  assert.deepEqual(await two.accounts.me(), ann);
  assert.equal(server.reuses, 0);
});

test("a tab that wakes up long after its renewal was lost looks what is stored before it repeats it", async () => {
  const { clock, server, one, two } = await twoTabs();
  clock.sleep(nearlyOverMs);
  server.hold("one");
  const asked = verdictOf(one.accounts.me());
  await settle();
  await two.accounts.me();
  clock.sleep(600_000);
  await clock.pass(callTimeoutMs);
  server.release("one");
  await clock.pass(1_000);
  assert.deepEqual(await asked, ann);
  assert.equal(server.reuses, 0);
  assert.deepEqual(await two.accounts.me(), ann);
});

test("a call that is late is repeated when the same person has signed out and in again meanwhile", async () => {
  const { server, one } = await twoTabs();
  const arrive = server.delay("one");
  const rename = verdictOf(one.accounts.rename("Annabel"));
  await settle();
  await one.accounts.logout();
  await one.accounts.login({ login: "ann", password });
  arrive();
  assert.deepEqual(await rename, { ...ann, name: "Annabel" });
});

test("so many tokens of a person are known when a call comes back with one, and not one more", async () => {
  for (const renewals of [tokensKnownMax - 1, tokensKnownMax]) {
    const { clock, server, one } = await twoTabs();
    const arrive = server.delay("one");
    const rename = verdictOf(one.accounts.rename("Annabel"));
    await settle();
    for (let n = 0; n < renewals; n++) {
      clock.sleep(nearlyOverMs);
      await one.accounts.me();
    }
    server.forgetAccess(1);
    arrive();
    const name = { ...ann, name: "Annabel" };
    assert.deepEqual(await rename, renewals < tokensKnownMax ? name : "signed_out");
  }
});

test("a new name that comes while a renewal looks what is stored does not hide who signs in in another tab", async () => {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const { storage, slow } = slowStorage("after");
  const [one, two] = [server.tab("one", storage), server.tab("two", storage)];
  await one.accounts.login({ login: "ann", password });
  await two.whoAmI();
  const arrive = server.delay("one");
  const rename = verdictOf(one.accounts.rename("Annabel"));
  await settle();
  clock.sleep(nearlyOverMs);
  server.hold("one");
  const asked = verdictOf(one.accounts.me());
  await settle();
  const read = slow();
  server.release("one");
  await settle();
  arrive();
  await settle();
  await two.accounts.login({ login: "bob", password });
  const ofBob = await stored(storage);
  read.resolve();
  await Promise.all([rename, asked]);
  assert.equal(await stored(storage), ofBob);
  assert.deepEqual(one.account.get(), bob);
});

/**
 * A storage that does what it is told, and says that it has failed, when `next` is `late`; that refuses when it is
 * `full`; that does it, and all that it is asked after it, when `slow` is told, as a browser's database that is busy;
 * and that refuses to be read.
 */
function unreliable(memory: ClientStorage) {
  const state = {
    next: "well" as "well" | "late" | "full" | "slow",
    reads: true,
    slow: Promise.withResolvers<void>(),
  };
  let before = Promise.resolve();
  const change = async (act: () => Promise<void>): Promise<void> => {
    const { next } = state;
    state.next = "well";
    if (next === "slow") before = state.slow.promise;
    await before;
    if (next !== "full") await act();
    if (next === "late" || next === "full") throw new Error(next);
  };
  const storage: ClientStorage = {
    load: async (prefix) => {
      await before;
      if (!state.reads) throw new Error("lost");
      return memory.load(prefix);
    },
    save: (key, text) => change(() => memory.save(key, text)),
    remove: (key) => change(() => memory.remove(key)),
  };
  return { state, storage };
}

/** Two tabs in which ann is signed in; the first one's storage has just failed to keep a renewal, or has said so. */
async function afterFailure(how: "late" | "full") {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const memory = memoryStorage();
  const { state, storage } = unreliable(memory);
  const [one, two] = [server.tab("one", storage), server.tab("two", memory)];
  await one.accounts.login({ login: "ann", password });
  await two.whoAmI();
  clock.sleep(nearlyOverMs);
  state.next = how;
  assert.deepEqual(await one.accounts.me(), ann);
  return { clock, server, storage: memory, one, two };
}

test("a tab whose storage was only late goes by what another tab has stored since", async () => {
  const { clock, server, storage, one, two } = await afterFailure("late");
  clock.sleep(nearlyOverMs);
  await two.accounts.me();
  clock.sleep(nearlyOverMs);
  await two.accounts.me();
  const newest = await stored(storage);
  assert.deepEqual(await one.accounts.me(), ann);
  assert.deepEqual([await stored(storage), server.reuses], [newest, 0]);
});

test("a sign-in that was stored late, and that another tab has renewed, replaced and ended since, is over", async () => {
  for (const how of ["late", "slow"] as const) {
    const clock = new ManualClock();
    const server = new AccountServer(clock);
    const memory = memoryStorage();
    const { state, storage } = unreliable(memory);
    const [one, two] = [server.tab("one", storage), server.tab("two", memory)];
    assert.equal(await outcomeOf(one.accounts.me()), "signed_out");
    state.next = how;
    const login = one.accounts.login({ login: "ann", password });
    await clock.pass(storageMs);
    await login;
    state.slow.resolve();
    clock.sleep(nearlyOverMs);
    await two.accounts.me();
    await two.accounts.login({ login: "ann", password });
    await two.accounts.logout();
    clock.sleep(nearlyOverMs);
    assert.equal(await verdictOf(one.accounts.me()), "signed_out", how);
    assert.equal(server.reuses, 0, how);
  }
});

test("a tab whose storage has failed does not undo that somebody else has signed in since, nor forgets them", async () => {
  for (const how of ["late", "full"] as const) {
    for (const isEnded of [false, true]) {
      const { clock, server, storage, one, two } = await afterFailure(how);
      clock.sleep(nearlyOverMs);
      if (isEnded) server.endAll(ann.id);
      await two.accounts.login({ login: "bob", password });
      const ofBob = await stored(storage);
      assert.equal(await verdictOf(one.accounts.me()), "signed_out");
      assert.equal(await stored(storage), ofBob);
      assert.deepEqual([await two.accounts.me(), await one.accounts.me()], [bob, bob]);
    }
  }
});

test("what could not be stored lasts as long as the page, whatever was stored before it", async () => {
  for (const before of [
    "nobody",
    "another person",
    "the same, read",
    "the same, signed out",
    "never looked",
    "unreadable",
  ]) {
    const clock = new ManualClock();
    const server = new AccountServer(clock);
    const memory = memoryStorage();
    const { state, storage } = unreliable(memory);
    const [one, other] = [server.tab("one", storage), server.tab("other", memory)];
    if (before === "another person") await one.accounts.login({ login: "ann", password });
    if (before === "never looked" || before === "unreadable")
      await other.accounts.login({ login: "ann", password });
    if (before === "the same, signed out") {
      await one.accounts.login({ login: "bob", password });
      await one.accounts.logout();
    }
    if (before === "the same, read") {
      await other.accounts.login({ login: "bob", password });
      await one.whoAmI();
      clock.sleep(nearlyOverMs);
      state.next = "full";
    } else {
      state.next = "full";
      state.reads = before !== "unreadable";
      await one.accounts.login({ login: "bob", password });
    }
    assert.deepEqual(await one.accounts.me(), bob, before);
    for (const reads of [true, false, false]) {
      clock.sleep(nearlyOverMs);
      state.next = "full";
      state.reads = reads;
      assert.deepEqual(await one.accounts.me(), bob, before);
      // A change that can be stored does not make what could not be less new.
      if (reads) await one.accounts.rename("Bobby");
      if (reads) await one.accounts.rename("Bob");
    }
    assert.equal(server.reuses, 0);
  }
});

test("a sign-in that could not be stored does not give way to who has signed in in another tab before it", async () => {
  for (const looked of ["nobody", "another person"]) {
    const clock = new ManualClock();
    const server = new AccountServer(clock);
    const memory = memoryStorage();
    const { state, storage } = unreliable(memory);
    const [one, other] = [server.tab("one", storage), server.tab("other", memory)];
    if (looked === "nobody") assert.equal(await outcomeOf(one.accounts.me()), "signed_out");
    else await one.accounts.login({ login: "ann", password });
    await other.accounts.login({ login: "bob", password });
    state.next = "full";
    await one.accounts.login({ login: "ann", password });
    clock.sleep(nearlyOverMs);
    assert.deepEqual(await one.accounts.me(), ann, looked);
    assert.equal(server.reuses, 0);
  }
});

test("a sign-in that could not be stored gives way to who signs in in another tab after it", async () => {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const memory = memoryStorage();
  const { state, storage } = unreliable(memory);
  const [one, other] = [server.tab("one", storage), server.tab("other", memory)];
  state.next = "full";
  await one.accounts.login({ login: "ann", password });
  await other.accounts.login({ login: "bob", password });
  clock.sleep(nearlyOverMs);
  assert.equal(await verdictOf(one.accounts.me()), "signed_out");
  assert.deepEqual([await one.accounts.me(), await other.accounts.me()], [bob, bob]);
});

test("who signs out is signed out here and there, also when the storage cannot be read", async () => {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const { state, storage } = unreliable(memoryStorage());
  const one = server.tab("one", storage);
  await one.accounts.login({ login: "ann", password });
  state.reads = false;
  const cold = server.tab("cold", storage);
  assert.equal(await verdictOf(cold.accounts.logout()), "storage_failed");
  await one.accounts.logout();
  assert.equal(server.signedIn, 0);
  state.reads = true;
  assert.equal((await storage.load("")).size, 0);
});

test("a tab whose sign-out could not be stored still finds who signs in in another one", async () => {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const memory = memoryStorage();
  const { state, storage } = unreliable(memory);
  const [one, two] = [server.tab("one", storage), server.tab("two", memory)];
  await one.accounts.login({ login: "ann", password });
  state.next = "full";
  await one.accounts.logout();
  assert.equal(await verdictOf(one.accounts.me()), "signed_out");
  await two.accounts.login({ login: "bob", password });
  assert.deepEqual(await one.accounts.me(), bob);
});

test("a call with a token that was renewed since is not repeated in the name of who signed in then", async () => {
  const { clock, server, one } = await twoTabs();
  const arrive = server.delay("one");
  const rename = verdictOf(one.accounts.rename("Annabel"));
  await settle();
  clock.sleep(nearlyOverMs);
  await one.accounts.me();
  await one.accounts.logout();
  await one.accounts.login({ login: "bob", password });
  arrive();
  assert.equal(await rename, "signed_out");
  assert.deepEqual(await one.accounts.me(), bob);
});

/** A storage whose next read takes until it is told, and answers with what was there before that, or after it. */
function slowStorage(when: "before" | "after" = "before") {
  const memory = memoryStorage();
  let gate: PromiseWithResolvers<void> | undefined;
  const storage: ClientStorage = {
    ...memory,
    load: async (prefix) => {
      const found = await memory.load(prefix);
      const waiting = gate;
      gate = undefined;
      await waiting?.promise;
      return when === "before" ? found : memory.load(prefix);
    },
  };
  return { storage, slow: () => (gate = Promise.withResolvers<void>()) };
}

test("a tab that has found nobody signed in finds who signs in in another one", async () => {
  const clock = new ManualClock();
  const server = new AccountServer(clock);
  const storage = memoryStorage();
  const [one, two] = [server.tab("one", storage), server.tab("two", storage)];
  assert.equal(await outcomeOf(one.accounts.me()), "signed_out");
  await two.accounts.login({ login: "ann", password });
  assert.deepEqual(await one.accounts.me(), ann);
});

test("who signs in while the storage is read for the first time stays signed in", async () => {
  const { storage, slow } = slowStorage();
  const client = new AccountServer(new ManualClock()).tab("one", storage);
  const seen: unknown[] = [];
  client.account.subscribe((account) => seen.push(account));
  const read = slow();
  const who = verdictOf(client.whoAmI());
  await settle();
  await client.accounts.login({ login: "ann", password });
  read.resolve();
  await who;
  assert.deepEqual(await client.accounts.me(), ann);
  assert.deepEqual(seen, [ann]);
});

test("who signs in, or out, while a renewal reads a slow storage is not undone by what it finds", async () => {
  for (const login of ["bob", undefined]) {
    const clock = new ManualClock();
    const { storage, slow } = slowStorage();
    const client = new AccountServer(clock).tab("one", storage);
    await client.accounts.login({ login: "ann", password });
    clock.sleep(nearlyOverMs);
    const read = slow();
    const asked = verdictOf(client.accounts.me());
    await settle();
    const seen: unknown[] = [];
    client.account.subscribe((account) => seen.push(account?.username));
    if (login === undefined) await client.accounts.logout();
    else await client.accounts.login({ login, password });
    read.resolve();
    assert.equal(await asked, "signed_out");
    assert.deepEqual(seen, [login]);
    assert.match(await stored(storage), login === undefined ? /nothing/ : /of bob/);
  }
});

test("a new name survives a reload, and a renewal that another tab had before", async () => {
  const { clock, server, storage, one, two } = await twoTabs();
  clock.sleep(nearlyOverMs);
  await two.accounts.me();
  clock.sleep(1);
  const names: unknown[] = [];
  one.account.subscribe((account) => names.push(account?.name));
  await one.accounts.rename("Annabel");
  assert.deepEqual(names, ["Annabel"]);
  assert.equal((await server.tab("reloaded", storage).whoAmI()).name, "Annabel");
  clock.sleep(nearlyOverMs);
  await two.accounts.me();
  assert.equal(two.account.get()?.name, "Annabel");
  await one.accounts.me();
  assert.deepEqual(names, ["Annabel"]);
});

test("a name that was given on another device is known after the next renewal", async () => {
  const { clock, server, one } = await twoTabs();
  await one.accounts.rename("Annabel");
  const elsewhere = server.tab("elsewhere", memoryStorage());
  await elsewhere.accounts.login({ login: "ann", password });
  clock.sleep(nearlyOverMs);
  await elsewhere.accounts.rename("Anna");
  // Any call: it renews the token first.
  await one.http.call({ method: "GET", path: "/api/v1/rooms", repeatable: true });
  assert.equal(one.account.get()?.name, "Anna");
});

test("nothing of a person stays on the device after they sign out, or after somebody else signs in", async () => {
  const { storage, one, two } = await twoTabs();
  await one.accounts.rename("Annabel");
  assert.equal((await storage.load(describedKey)).size, 1);
  await two.accounts.me();
  await two.accounts.login({ login: "bob", password });
  assert.equal((await storage.load(describedKey)).size, 0);
  await two.accounts.rename("Bobby");
  await two.accounts.logout();
  await one.accounts.rename("Ann").catch(() => undefined);
  assert.equal((await storage.load("")).size, 0);
});

test("a page of a proxy that says 401 is not the server's word that a sign-in is over", async () => {
  const { clock, server, storage, one } = await twoTabs();
  server.proxyPage = true;
  clock.sleep(nearlyOverMs);
  const asked = verdictOf(one.accounts.me());
  await clock.pass(5_000);
  assert.equal(await asked, "unexpected_answer");
  server.proxyPage = false;
  assert.match(await stored(storage), /of ann/);
  assert.deepEqual(await one.accounts.me(), ann);
});

type Step = {
  readonly tab: 0 | 1 | 2;
  readonly act: "me" | "ann" | "bob" | "logout" | "rename" | "hold" | "release" | "late";
};
const step: fc.Arbitrary<Step | number> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      tab: fc.constantFrom<Step["tab"]>(0, 1, 2),
      act: fc.constantFrom<Step["act"]>(
        "me",
        "me",
        "me",
        "ann",
        "bob",
        "logout",
        "rename",
        "hold",
        "release",
        "late",
      ),
    }),
  },
  // While an answer is on its way, less than the server's grace in all: beyond it nobody could help.
  { weight: 1, arbitrary: fc.constantFrom(1, 500, 2_000) },
  { weight: 2, arbitrary: fc.constant(nearlyOverMs) },
);

test("whatever three tabs do, no used token is presented, and all of them end as who is stored", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      const clock = new ManualClock();
      const server = new AccountServer(clock);
      const storage = memoryStorage();
      const tabs = ["a", "b", "c"].map((name) => {
        const own = unreliable(storage);
        return { name, state: own.state, client: server.tab(name, own.storage) };
      });
      const pending: Promise<unknown>[] = [];
      for (const one of steps) {
        if (typeof one === "number") {
          // A token that ends is renewed from the stored one: whoever still waits for an answer gets it first.
          if (one === nearlyOverMs) {
            for (const { name } of tabs) server.release(name);
            await settle();
          }
          clock.sleep(one);
          continue;
        }
        const tab = tabs[one.tab];
        if (tab === undefined) continue;
        const { accounts } = tab.client;
        if (one.act === "late") tab.state.next = "late";
        else if (one.act === "hold") server.hold(tab.name);
        else if (one.act === "release") server.release(tab.name);
        else if (one.act === "me") pending.push(verdictOf(accounts.me()));
        else if (one.act === "rename") pending.push(verdictOf(accounts.rename(`Name ${pending.length}`)));
        else if (one.act === "logout") pending.push(verdictOf(accounts.logout()));
        else pending.push(verdictOf(accounts.login({ login: one.act, password })));
        await settle();
      }
      for (const { name } of tabs) server.release(name);
      await Promise.all(pending);
      assert.equal(server.reuses, 0);
      clock.sleep(nearlyOverMs);
      // The first call of who has not noticed yet that somebody else has signed in; who could not store it before, does.
      for (let round = 0; round < 2; round++) {
        for (const { client } of tabs) await verdictOf(client.accounts.me());
      }
      const text = await storedToken(storage);
      const wanted = text === "" ? undefined : (JSON.parse(text) as { account: { id: number } }).account.id;
      for (const { client } of tabs) {
        const me = await outcomeOf(client.accounts.me());
        assert.equal(wanted === undefined ? me : (me as { id: number }).id, wanted ?? "signed_out");
        assert.equal(client.account.get()?.id, wanted);
      }
      assert.equal(server.reuses, 0);
    }),
    { numRuns: 300 },
  );
});
