import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../lib/errors.ts";
import { createAccess } from "./access.ts";
import { type KeyActor, type UserActor, hasScope } from "./actor.ts";
import type { ApiKeys } from "./api-keys.ts";

const key: KeyActor = { kind: "key", id: 1, name: "shop", scopes: new Set(["inbox:read"]), sourceId: 4 };
const person: UserActor = { kind: "user", id: "7", scopes: new Set() };

/** Which of the two checks was asked, in order. */
function setUp() {
  const asked: string[] = [];
  const apiKeys: ApiKeys = {
    create: () => Promise.reject(new Error("not asked for")),
    list: async () => [],
    revoke: async () => false,
    endOfSource: async () => undefined,
    verify: async (secret) => {
      asked.push("key");
      return secret === "tdk_good" ? key : undefined;
    },
  };
  const tokens = {
    verify: async () => {
      asked.push("token");
      return person;
    },
  };
  return { asked, access: createAccess({ apiKeys, tokens }) };
}

test("a credential with the prefix of keys is asked of the keys, any other is a token", async () => {
  const { asked, access } = setUp();
  assert.equal(await access.authenticate("tdk_good"), key);
  assert.equal(await access.authenticate("header.payload.signature"), person);
  assert.deepEqual(asked, ["key", "token"]);
});

test("a key that is not good is unauthorized and never tried as a token", async () => {
  const { asked, access } = setUp();
  await assert.rejects(
    access.authenticate("tdk_bad"),
    (error: unknown) =>
      error instanceof AppError && error.code === "unauthorized" && !error.message.includes("tdk_bad"),
  );
  assert.deepEqual(asked, ["key"]);
});

test("the scope admin includes all others, and no other scope does", () => {
  assert.ok(hasScope(key, "inbox:read"));
  assert.ok(!hasScope(key, "stats:read"));
  assert.ok(!hasScope(key, "admin"));
  assert.ok(hasScope({ ...person, scopes: new Set(["admin"]) }, "stats:read"));
});
