import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../../protocol/ids.ts";
import { topics } from "../../../protocol/topics.ts";
import type { NotificationExpiredData } from "../../../protocol/notifications.ts";
import { type Entry, jsonText, parseData, redactedType } from "../../eventlog/eventlog.ts";
import { expireBatchMax } from "./expire.ts";
import { followRedactions } from "./follow-redactions.ts";
import { openBroadcastStage } from "./broadcasts/broadcasts.fixture.ts";
import { notingLocks, openStage } from "./notifications.fixture.ts";
import { People } from "./people.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { idsOf, requestTo } from "./requests.fixture.ts";

test("what is erased of one person's goes, however much it is, and entries of their size tell of it", async () => {
  const stage = await openStage(createPostgresStore);
  const { db, store, clock, eventlog, person, entries } = stage;
  const [ann, bob] = [await person(), await person()];
  // Those that have ended are counted no more, the others until they are gone.
  const answers = await store.notify(
    Array.from({ length: expireBatchMax + 1 }, (_, i) => requestTo([ann], { ttlS: i < 10 ? 1 : 900 })),
  );
  await store.notify([requestTo([ann, bob])]);
  clock.advance(1_000);
  const notice: Entry = {
    id: uuidv7(),
    partition: 0,
    offset: 1,
    topic: topics.user(ann),
    type: redactedType,
    time: clock.now(),
    actor: "system",
    data: jsonText({ entry_ids: answers.flatMap((answer) => idsOf(answer)), reason: "erased" }),
    trace: undefined,
  };
  const consumer = followRedactions({ eventlog, clock, people: new People() });
  const { signal } = new AbortController();
  // A notice that comes again finds nothing left to do.
  for (let times = 0; times < 2; times++) {
    await db.transaction((tx) => consumer.handle([notice], tx, signal));
    assert.equal((await store.unread(ann)).unread, 1);
  }
  assert.equal((await store.unread(bob)).unread, 1);
  const told = (await entries(ann)).filter(({ type }) => type === "notification.expired");
  assert.equal(told.length, 2);
  const last = told.at(-1);
  assert.equal(last && parseData<NotificationExpiredData>(last).unread, 1);
});

test("what is erased of people and of what everybody is told goes in one batch, people first, then the ledger, then the log", async () => {
  const { db, store, broadcasts, tell, clock, eventlog, person } = await openBroadcastStage();
  const [ann, bob] = [await person(), await person()];
  const [answer] = await store.notify([requestTo([ann, bob])]);
  const ids = idsOf(answer);
  const notices = [
    [topics.everybody(), await tell()],
    [topics.user(bob), ids[1]],
    [topics.user(ann), ids[0]],
  ].map(([topic = "", id = ""], i): Entry => ({
    id: uuidv7(),
    partition: 0,
    offset: i + 1,
    topic,
    type: redactedType,
    time: clock.now(),
    actor: "system",
    data: jsonText({ entry_ids: [id], reason: "erased" }),
    trace: undefined,
  }));
  const consumer = followRedactions({ eventlog, clock, people: new People() });
  const locks: string[] = [];
  await db.transaction((tx) =>
    consumer.handle(notices, notingLocks(tx, locks), new AbortController().signal),
  );
  assert.deepEqual([...new Set(locks)], [`person ${ann}`, `person ${bob}`, "ledger", "log"]);
  assert.deepEqual([(await store.unread(ann)).unread, (await store.unread(bob)).unread], [0, 0]);
  assert.equal((await broadcasts.list(ann)).unread, 0);
});
