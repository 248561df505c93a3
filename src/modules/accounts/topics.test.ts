import assert from "node:assert/strict";
import { test } from "node:test";
import type { Actor } from "../../access/actor.ts";
import { AppError } from "../../lib/errors.ts";
import { userTopics } from "./topics.ts";

const person = (id: number, role: "user" | "admin" = "user"): Actor => ({
  kind: "user",
  id,
  username: "ann",
  role,
  sessionId: undefined,
  expiresAt: Number.POSITIVE_INFINITY,
  scopes: new Set(role === "admin" ? (["admin"] as const) : []),
});
const key = (scope: "admin" | "users:manage"): Actor => ({
  kind: "key",
  id: 7,
  name: "key",
  scopes: new Set([scope]),
  sourceId: undefined,
});

async function answerTo(actor: Actor, id: string): Promise<string> {
  return userTopics.authorize(actor, id).then(
    () => "allowed",
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );
}

test("what concerns one person is read by them, and by nobody else", async () => {
  assert.equal(await answerTo(person(7), "7"), "allowed");
  assert.equal(await answerTo(key("admin"), "7"), "forbidden");
  assert.equal(await answerTo(person(8), "7"), "forbidden");
  assert.equal(await answerTo(person(8, "admin"), "7"), "forbidden");
  assert.equal(await answerTo(key("users:manage"), "7"), "forbidden");
});

test("a person's topic has one spelling", async () => {
  for (const id of ["07", " 7", "7.0", "7/", "+7", "", "0", "x"]) {
    assert.equal(await answerTo(person(7), id), "forbidden", id);
  }
});
