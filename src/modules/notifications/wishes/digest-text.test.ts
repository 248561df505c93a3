import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../../../protocol/limits.ts";
import { type ClosedDigest, digestLineLength, digestLinesMax, digestText } from "./digest-text.ts";

type Line = ClosedDigest["last"][number];

function line(message: string, parts: Partial<Line> = {}): Line {
  return {
    notification_id: "00000000-0000-4000-8000-000000000000",
    actor: "key:1",
    message,
    source: "shop",
    category: "news",
    critical: false,
    link: "/news",
    createdAt: "2026-01-01T00:00:00.000Z",
    ttlS: 60,
    ...parts,
  };
}

function digestOf(last: readonly Line[], gathered = last.length): ClosedDigest {
  return { id: "10000000-0000-4000-8000-000000000000", category: "news", gathered, last };
}

test("one alone says what it said, in full", () => {
  const message = "Новость\nв двух строках ".repeat(100);
  const told = digestText(digestOf([line(message)]));
  assert.deepEqual(
    [told?.message, told?.actor, told?.source, told?.link, told?.gathered, told?.notification_id],
    [message, "key:1", "shop", "/news", 1, "10000000-0000-4000-8000-000000000000"],
  );
});

test("several are a line each, and what they have in common is the digest's", () => {
  const told = digestText(
    digestOf([
      line("Первая\nновость", { ttlS: 90, createdAt: "2026-01-01T00:00:00.000Z" }),
      line("вторая", { createdAt: "2026-01-01T00:05:00.000Z" }),
    ]),
  );
  assert.deepEqual(told, {
    notification_id: "10000000-0000-4000-8000-000000000000",
    actor: "system",
    message: "Первая новость\nвторая",
    source: "shop",
    category: "news",
    critical: false,
    link: "/news",
    gathered: 2,
    createdAt: "2026-01-01T00:05:00.000Z",
    ttlS: 90,
  });
  const mixed = digestText(digestOf([line("1", { source: "a" }), line("2", { source: "b", link: null })]));
  assert.deepEqual([mixed?.source, mixed?.link], ["digest", null]);
});

test("those that are not shown are counted, and nothing is told of none", () => {
  const many = Array.from({ length: digestLinesMax }, (_, n) => line(`m${n}`));
  assert.equal(digestText(digestOf(many))?.message.split("\n")[0], "m0");
  const lines = digestText(digestOf(many, digestLinesMax + 1))?.message.split("\n");
  assert.deepEqual([lines?.[0], lines?.[1], lines?.length], ["+1", "m0", digestLinesMax + 1]);
  assert.equal(digestText(digestOf([])), undefined);
});

test("a line is cut at a character's end, and all together they are no longer than a message may be", () => {
  const fits = "😀".repeat(digestLineLength);
  assert.equal(digestText(digestOf([line(fits), line("2")]))?.message, `${fits}\n2`);
  const cut = digestText(digestOf([line(`${fits}x`), line("2")]))?.message.split("\n")[0] ?? "";
  assert.equal(cut, `${"😀".repeat(digestLineLength - 1)}…`);
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "binary", minLength: 1, maxLength: limits.messageTextLength }), {
        minLength: 2,
        maxLength: digestLinesMax,
      }),
      fc.nat(limits.notificationsPerPerson),
      (messages, more) => {
        const told = digestText(
          digestOf(
            messages.map((text) => line(text)),
            messages.length + more,
          ),
        );
        const { length } = Array.from(told?.message ?? "");
        assert.ok(length >= 1 && length <= limits.messageTextLength, `${length}`);
        assert.ok(told?.message.isWellFormed());
      },
    ),
  );
});
