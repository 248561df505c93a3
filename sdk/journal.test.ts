import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatEntry, Snapshot } from "./chat-view.ts";
import { Journal, readsMax } from "./journal.ts";
import { settle, verdictOf } from "./world.fixture.ts";

const gone = (roomId: number): Snapshot => ({ kind: "gone", roomId });
const about = (room_id: number): ChatEntry => ({ type: "t", data: { room_id } });

function reader(journal: Journal) {
  const taken: { readonly snapshot: Snapshot; readonly since: readonly ChatEntry[] }[] = [];
  const questions: PromiseWithResolvers<Snapshot>[] = [];
  const read = (scope: number | "rooms"): Promise<unknown> =>
    verdictOf(
      journal.read(
        scope,
        () => {
          const question = Promise.withResolvers<Snapshot>();
          questions.push(question);
          return question.promise;
        },
        (snapshot, since) => taken.push({ snapshot, since }),
      ),
    );
  return { taken, questions, read };
}

test("an answer comes with the entries about the same since its question", async () => {
  const journal = new Journal();
  const { taken, questions, read } = reader(journal);
  journal.note(about(1));
  const one = read(1);
  journal.note(about(1));
  journal.note(about(2));
  questions[0]?.resolve(gone(1));
  await one;
  assert.deepEqual(taken, [{ snapshot: gone(1), since: [about(1)] }]);
  // Nobody reads: nothing is kept.
  journal.note(about(1));
  const all = read("rooms");
  questions[1]?.resolve({ kind: "rooms", rooms: [] });
  await all;
  assert.deepEqual(taken[1]?.since, []);
});

test("an answer that a newer one has overtaken is asked for again, so often and no more", async () => {
  const journal = new Journal();
  const { taken, questions, read } = reader(journal);
  const slow = read(1);
  for (let reads = 1; reads <= readsMax; reads++) {
    const old = questions.at(-1);
    const other = read(reads % 2 === 0 ? 1 : "rooms");
    questions.at(-1)?.resolve(gone(reads));
    await other;
    old?.resolve(gone(100));
    await settle();
  }
  assert.equal(await slow, "outpaced");
  assert.deepEqual(
    taken.map(({ snapshot }) => snapshot),
    Array.from({ length: readsMax }, (_, i) => gone(i + 1)),
  );
});

test("answers about different rooms do not wait for each other", async () => {
  const journal = new Journal();
  const { taken, questions, read } = reader(journal);
  const [one, two] = [read(1), read(2)];
  questions[1]?.resolve(gone(2));
  await two;
  questions[0]?.resolve(gone(1));
  await one;
  assert.equal(taken.length, 2);
});
