import assert from "node:assert/strict";
import { argon2Sync } from "node:crypto";
import { test } from "node:test";
import { AppError } from "../lib/errors.ts";
import { atOnceMax, createPasswords, waitingMax } from "./passwords.ts";

/** As little as Argon2 allows. */
const cheap = { memoryKib: 8, passes: 1, parallelism: 1 } as const;

test("a password is stored as Argon2id with the cost of now and a salt of its own", async () => {
  const passwords = createPasswords();
  const [first, second] = await Promise.all([
    passwords.hash("correct horse"),
    passwords.hash("correct horse"),
  ]);
  assert.match(first, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(first, second);
  assert.ok(await passwords.verify("correct horse", first));
  assert.ok(!(await passwords.verify("correct horsE", first)));
});

test("a stored hash is what Argon2id makes of the password, the salt and the cost that it names", async () => {
  const passwords = createPasswords(cheap);
  const [, , , , salt = "", hash = ""] = (await passwords.hash("geheim")).split("$");
  const computed = argon2Sync("argon2id", {
    message: "geheim",
    nonce: Buffer.from(salt, "base64"),
    memory: 8,
    passes: 1,
    parallelism: 1,
    tagLength: 32,
  });
  assert.equal(computed.toString("base64").replace(/=+$/, ""), hash);
});

test("a hash of another cost is held against that cost", async () => {
  const stored = await createPasswords({ ...cheap, passes: 3 }).hash("geheim");
  assert.ok(await createPasswords(cheap).verify("geheim", stored));
});

test("letters count as themselves however a keyboard spells them", async () => {
  const passwords = createPasswords(cheap);
  const stored = await passwords.hash("Пароль и\u0306 ﬁ".normalize("NFD"));
  assert.ok(await passwords.verify("Пароль й fi", stored));
});

test("nobody's password is never right, and takes as long to check as somebody's", async () => {
  const passwords = createPasswords();
  const stored = await passwords.hash("geheim");
  const times: Record<"somebody" | "nobody", number[]> = { somebody: [], nobody: [] };
  for (let i = 0; i < 7; i++) {
    for (const who of ["somebody", "nobody"] as const) {
      const startMs = performance.now();
      assert.equal(await passwords.verify("wrong", who === "nobody" ? undefined : stored), false);
      times[who].push(performance.now() - startMs);
    }
  }
  const ratio = Math.min(...times.nobody) / Math.min(...times.somebody);
  assert.ok(ratio > 0.5 && ratio < 2, String(ratio));
  assert.equal(await passwords.verify("", undefined), false);
});

test("a damaged hash, and one that would cost more than is ever written, is a fault and not a wrong password", async () => {
  const passwords = createPasswords(cheap);
  const stored = await passwords.hash("geheim");
  for (const damaged of [
    "",
    "geheim",
    stored.slice(0, -30),
    stored.replace("argon2id", "argon2i"),
    stored.replace("m=8,", "m=262145,"),
    stored.replace("t=1,", "t=11,"),
    stored.replace("p=1$", "p=5$"),
  ]) {
    await assert.rejects(passwords.verify("geheim", damaged), /is damaged/, damaged);
  }
  assert.ok(await passwords.verify("geheim", stored), "and the next one has its turn");
});

test("one caller more than may wait is refused, and all others are served", async () => {
  const passwords = createPasswords(cheap);
  const served = Array.from({ length: atOnceMax + waitingMax }, (_, i) => passwords.hash(`password ${i}`));
  await assert.rejects(passwords.hash("one more"), (error: unknown) => {
    return error instanceof AppError && error.code === "overloaded" && error.details.retryAfterS === 2;
  });
  assert.equal(new Set(await Promise.all(served)).size, atOnceMax + waitingMax);
  assert.ok(await passwords.hash("afterwards"));
});
