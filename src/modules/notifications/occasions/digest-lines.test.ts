import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestLinesMax, digestText } from "../wishes/digest-text.ts";
import { type DigestWords, lineMark, withoutLines } from "./digest-lines.ts";

/** What a digest of these says when it closes. */
function digestOf(messages: readonly string[]): DigestWords {
  const common = { actor: "user:1", source: "chat", category: "mention", critical: false, link: null };
  const last = messages
    .slice(-digestLinesMax)
    .map((message) => ({ ...common, notification_id: "", message, createdAt: "", ttlS: 1 }));
  const told = digestText({ id: "", category: "mention", gathered: messages.length, last });
  assert.ok(told !== undefined);
  return { message: told.message, gathered: told.gathered };
}

function countsOf(messages: readonly string[]): ReadonlyMap<string, number> {
  const marks = messages.map(lineMark);
  return new Map([...Map.groupBy(marks, (mark) => mark)].map(([mark, { length }]) => [mark, length]));
}

/** The same without one of them, which nobody has to remember. */
function without(messages: readonly string[], which: number): DigestWords | undefined {
  const staying = messages.filter((_, i) => i !== which);
  return withoutLines(
    digestOf(messages),
    new Set([lineMark(messages[which] ?? assert.fail())]),
    countsOf(staying),
  );
}

const many = Array.from({ length: digestLinesMax + 5 }, (_, n) => `ann: @bob m${n}`);

test("a line is taken out, and all others stay, with how many are not shown", () => {
  assert.deepEqual(without(["a", "b\nc", "d"], 1), { message: "a\nd", gathered: 2 });
  const lines = without(many, many.length - 1)?.message.split("\n") ?? [];
  assert.deepEqual(lines, ["+5", ...many.slice(5, -1)]);
  assert.equal(without(many, 5)?.gathered, many.length - 1);
});

test("what a digest does not show is left alone, also when another one says the same", () => {
  assert.deepEqual(without(many, 4), digestOf(many));
  const alike = [many.at(-1) ?? "", ...many];
  assert.deepEqual(without(alike, 0), digestOf(alike));
});

test("of two who say the same one is left, and nothing of one alone, however many lines that has", () => {
  assert.deepEqual(without(["a", "b", "a"], 0), { message: "a\nb", gathered: 2 });
  assert.equal(without(["a\nb"], 0), undefined);
  const last = without(["a", "b ".repeat(300)], 0);
  assert.ok(last !== undefined);
  assert.equal(withoutLines(last, new Set([lineMark("b ".repeat(300))]), new Map()), undefined);
});

test("in whichever order what was gathered is erased, no word of it stays, and no other word goes", () => {
  const text = fc.constantFrom("a", "b", "c\nd", "e".repeat(250), `${"e".repeat(250)}f`);
  const gathered = fc.array(fc.record({ text, rank: fc.nat() }), {
    minLength: 2,
    maxLength: 26,
    size: "max",
  });
  fc.assert(
    fc.property(gathered, (all) => {
      const staying = all.map((one) => one.text);
      let digest: DigestWords | undefined = digestOf(staying);
      for (const { text: gone } of all.toSorted((a, b) => a.rank - b.rank)) {
        if (digest === undefined) return;
        staying.splice(staying.indexOf(gone), 1);
        const before: readonly string[] = digest.message.split("\n");
        const alike = staying.filter((one) => lineMark(one) === lineMark(gone)).length;
        const isGone = (line: string): boolean => lineMark(line) === lineMark(gone);
        const went = Math.max(0, before.filter(isGone).length - alike);
        const gatheredBefore: number = digest.gathered;
        digest = withoutLines(digest, new Set([lineMark(gone)]), countsOf(staying));
        const after = digest?.message.split("\n") ?? [];
        assert.deepEqual(
          after.filter((line) => !isGone(line)),
          before.filter((line) => !isGone(line)),
        );
        assert.equal(after.filter(isGone).length, before.filter(isGone).length - went);
        if (digest !== undefined) assert.equal(digest.gathered, gatheredBefore - went);
      }
    }),
  );
});
