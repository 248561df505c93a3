import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import type { CloseReason } from "../../protocol/close-codes.ts";
import type { PlainBacklog, PlainForm } from "../deps.ts";
import { openStuck } from "./connection.fixture.ts";
import { HeldLog, openDelivery, person, settled, skipWindows } from "./delivery.fixture.ts";
import { plainEncoding } from "./encodings.ts";
import { beginPlain } from "./plain-beginning.ts";
import { textsOf } from "./reader.fixture.ts";

const unused = { frames: { sent: Type.Unknown(), heard: Type.Unknown() }, accepts: () => false };

/** A form that tells what was said, after what it is given to tell first. */
async function open(t: TestContext, topics: readonly string[] = ["room/1"]) {
  skipWindows(t);
  const delivery = await openDelivery({ eventlog: new HeldLog() });
  t.after(() => delivery.close());
  const { subscribing, tail } = delivery;
  const { connection, link } = openStuck();
  const ended: CloseReason[] = [];
  const begin = (backlog: PlainBacklog): Promise<void> => {
    const form: PlainForm = {
      ...unused,
      name: "told",
      topics: () => Promise.resolve(topics),
      backlog: () => backlog,
      render: (_topic, _type, data) => [JSON.stringify(data)],
      handle: () => Promise.resolve(undefined),
    };
    connection.encoding = plainEncoding(form, { now: () => 0 }, assert.ifError);
    connection.plain = { form, parameters: new URLSearchParams() };
    const gateway = {
      subscribing,
      reach: (heads: ReadonlyMap<number, number>) => tail.reach(heads),
      get doubts() {
        return tail.doubts;
      },
      end: (_: unknown, reason: CloseReason) => void ended.push(reason),
    };
    return beginPlain(gateway, connection, person());
  };
  const frames = (): unknown[] => link.written.flatMap(textsOf).map((text): unknown => JSON.parse(text));
  return { ...delivery, connection, link, ended, begin, frames };
}

/** A backlog of these parts; `meanwhile` runs before each. What it has told is no news. */
function backlogOf(
  parts: readonly (readonly string[])[],
  meanwhile: (part: number) => Promise<void> = () => Promise.resolve(),
): PlainBacklog {
  const told = new Set<unknown>();
  async function* texts() {
    for (const [n, part] of parts.entries()) {
      await meanwhile(n);
      for (const text of part) told.add(text);
      yield part.map((text) => JSON.stringify(text));
    }
  }
  return { texts: texts(), isNews: (_type, data) => !told.has(data) };
}

test("what is told first comes before all that is new, and none of it is told again", async (t) => {
  const { say, begin, frames } = await open(t);
  await say("room/1", "read long ago", "a");
  await begin(
    backlogOf([["a"], ["b", "c"]], async (part) => {
      if (part === 0) await say("room/1", "b", "meanwhile");
      else await say("room/1", "c", "meanwhile, too");
      await settled();
    }),
  );
  await say("room/1", "b", "later");
  await settled();
  assert.deepEqual(frames(), ["a", "b", "c", "meanwhile", "meanwhile, too", "b", "later"]);
});

test("what the log holds and this gateway has not read yet is told once, or not at all when it is over", async (t) => {
  const { eventlog, say, begin, frames, connection } = await open(t);
  await say("room/1", "before");
  await settled();
  const answer = eventlog.holdNextRead();
  await say("room/1", "over", "unread");
  await settled();
  const begun = begin(
    backlogOf([["unread"]], async () => {
      await say("room/1", "meanwhile");
    }),
  );
  await settled();
  assert.notEqual(connection.beginning, undefined, "nothing is answered before what came meanwhile is told");
  answer();
  await begun;
  await say("room/1", "later");
  await settled();
  assert.deepEqual(frames(), ["unread", "meanwhile", "later"]);
});

test("entries are asked about topic by topic, in the order in which the form names them", async (t) => {
  const { say, begin, frames } = await open(t, ["room/2", "room/1"]);
  const asked: unknown[] = [];
  const { texts } = backlogOf([[]], async () => {
    await say("room/1", "one");
    await say("room/2", "two");
  });
  await begin({ texts, isNews: (_type, data) => asked.push(data) > 1 });
  assert.deepEqual([asked, frames()], [["two", "one"], ["one"]]);
});

test("a client that takes nothing meanwhile is told what is news when it takes something again, and nothing else", async (t) => {
  const { say, begin, frames, link, connection, catchUp } = await open(t);
  const large = Array.from({ length: 6 }, (_, n) => String(n).repeat(60_000));
  const initials = (): unknown[] => frames().map((text) => String(text)[0]);
  await begin(
    backlogOf([["a"], ["b"]], async (part) => {
      if (part === 1) await say("room/1", "b", ...large, "c", "a");
    }),
  );
  assert.deepEqual(initials(), ["a", "b", "0", "1", "2", "3", "4"]);
  link.drain();
  catchUp.runAll(connection, connection.subscriptions.values());
  assert.deepEqual(initials(), ["a", "b", "0", "1", "2", "3", "4", "5", "c"]);
  await say("room/1", "a");
  await settled();
  assert.equal(initials().at(-1), "a", "what is said anew is news");
});

test("what is to be told first and fails lets nothing new through", async (t) => {
  const { say, begin, frames } = await open(t);
  const failing = backlogOf([["a"]], () => Promise.reject(new Error("the database is away")));
  await assert.rejects(begin(failing), /away/);
  await say("room/1", "later");
  await settled();
  assert.deepEqual(frames(), []);
});

test("a connection does not begin when the log may have lost entries meanwhile, also such as this gateway had not read", async (t) => {
  for (const unread of [false, true]) {
    const { eventlog, say, begin, frames } = await open(t);
    await say("room/1", "1");
    await settled();
    const begun = begin(
      backlogOf([["1"]], async () => {
        const answer = unread ? eventlog.holdNextRead() : undefined;
        await say("room/1", "2", "3");
        await settled();
        eventlog.loseAfter(0, 1);
        answer?.();
        await settled();
      }),
    );
    await assert.rejects(begun, /may have lost/);
    await say("room/1", "new 2", "new 3", "new 4");
    await settled();
    assert.deepEqual(frames(), ["1"]);
  }
});

test("a gateway that cannot read what the log holds tells nobody anything first", async (t) => {
  const { eventlog, say, begin, frames } = await open(t);
  const answer = eventlog.holdNextRead();
  await say("room/1", "1");
  await settled();
  const begun = begin(backlogOf([["1"]]));
  await settled();
  assert.deepEqual(frames(), []);
  answer();
  await begun;
  assert.deepEqual(frames(), ["1"]);
});
