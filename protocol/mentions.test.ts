import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { usernamePattern } from "./accounts.ts";
import { limits } from "./limits.ts";
import { mentionsOf } from "./mentions.ts";

test("a mention is an @ at the beginning of a word with a username behind it, in any writing around it", () => {
  const cases: Readonly<Record<string, readonly (readonly string[])[]>> = {
    "": [],
    "@": [],
    "@ bob": [],
    "@bob": [["bob"]],
    "@Bob and @BOB": [["bob"]],
    "Привет, @bob! Как дела?": [["bob"]],
    "Привет,@bob": [["bob"]],
    "(@bob) «@ann» '@eve's": [["bob"], ["ann"], ["eve"]],
    "👋@bob👋": [["bob"]],
    "line\n@bob\r\n@ann": [["bob"], ["ann"]],
    "@bob@ann": [],
    "@bob, @ann,@eve": [["bob"], ["ann"], ["eve"]],
    "@j.smith and @j-smith and @j_smith_": [["j.smith"], ["j-smith"], ["j_smith_"]],
    // The end of a sentence, or a name that ends like one.
    "It was @bob.": [["bob", "bob."]],
    "@bob...": [["bob", "bob..."]],
    "@bob -- no": [["bob"]],
    "@bob--no": [["bob--no"]],
    "@bob. @bob": [["bob", "bob."]],
    "@b.": [["b."]],
    "спасибо @bob.Завтра": [["bob"]],
    "@bob.@ann": [["bob"], ["ann"]],
    [`@bob${".".repeat(40)}`]: [["bob"]],
    // Addresses, links and other people's words.
    "a@b.c": [],
    "анна@bob": [],
    "я@bob 𝐀@bob 7@bob _@bob é@bob": [],
    "@bob@example.com": [],
    "https://example.com/@bob": [],
    "@@bob": [],
    "@bobу": [],
    "@боб": [],
    "＠bob @\u212abob": [],
    "@_bob @.bob @-bob": [],
    // Lengths of usernames, and one more.
    "@b": [],
    "@bo": [["bo"]],
    [`@${"b".repeat(32)}`]: [["b".repeat(32)]],
    [`@${"b".repeat(33)}`]: [],
  };
  for (const [text, mentions] of Object.entries(cases)) assert.deepEqual(mentionsOf(text), mentions, text);
});

test("so many names are looked for and no more, and one that comes again does not count", () => {
  const names = Array.from({ length: limits.mentionNames + 1 }, (_, i) => `person-${i}`);
  const text = names.map((name) => `@${name} @person-0`).join(" ");
  assert.deepEqual(
    mentionsOf(text).map(([name]) => name),
    names.slice(0, limits.mentionNames),
  );
});

test("of any text at all, a mention is a username that stands behind an @", () => {
  const piece = fc.oneof(
    fc.constantFrom("@", "@bob", "bob", ".", "-", "_", "/", " ", "я", "7", "𝐀", "\ud835", "\u0301", "A"),
    fc.string({ unit: "binary", maxLength: 5 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40, size: "max" }), (pieces) => {
      const text = pieces.join("");
      const mentions = mentionsOf(text);
      for (const names of mentions) {
        assert.ok(names.length === 1 || names.length === 2);
        for (const name of names) {
          assert.match(name, new RegExp(usernamePattern));
          assert.ok(text.toLowerCase().includes(`@${name}`));
        }
      }
      assert.equal(new Set(mentions.map(([name]) => name)).size, mentions.length);
      // What a text mentions it mentions also between others.
      if (mentions.length < 10)
        assert.deepEqual(mentionsOf(`(${text} @zoe`).slice(0, mentions.length), mentions);
    }),
    { numRuns: 2_000 },
  );
});

test("a text that was made to be slow takes time by its length, not by its square", () => {
  const texts = ["@", "@.", "@b", "@b.", "@b.-", "@bob@", ".", "я@", "@b-я"];
  for (const text of texts) {
    // A square would take minutes.
    const long = text.repeat(Math.ceil(1_000_000 / text.length));
    for (const hostile of [long, `@b${long}`, `@b${long}я`, `@${"b.".repeat(500_000)}я`]) {
      const start = performance.now();
      mentionsOf(hostile);
      assert.ok(performance.now() - start < 5_000, text);
    }
  }
});
