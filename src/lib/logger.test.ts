import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "pg";
import { createLogger, errorKind } from "./logger.ts";

function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  write(createLogger("info", { write: (line) => lines.push(line) }));
  return lines.join("");
}

function databaseError(): DatabaseError {
  const error = new DatabaseError('invalid input syntax for type integer: "my secret words"', 100, "error");
  return Object.assign(error, {
    code: "22P02",
    detail: "Key (text)=(my secret words)",
    where: "my secret words",
  });
}

test("an error of PostgreSQL is logged by its facts, without the values that it quotes", () => {
  const text = logged((log) => log.warn({ err: databaseError() }, "batch failed"));
  assert.match(text, /22P02/);
  assert.doesNotMatch(text, /secret words/);
  assert.equal(errorKind(databaseError()), "database error 22P02");
});

test("of an error that may quote what a person wrote nothing but its kind and code is logged", () => {
  const coded = Object.assign(new TypeError("my secret words"), { code: "ERR_INVALID_ARG_TYPE" });
  assert.equal(errorKind(coded), "TypeError ERR_INVALID_ARG_TYPE");
  assert.deepEqual([new Error("my secret words"), "my secret words", null].map(errorKind), [
    "Error",
    "string",
    "object",
  ]);
});

test("any other error is logged with its message and stack", () => {
  const text = logged((log) => log.warn({ err: new Error("disk full") }, "batch failed"));
  assert.match(text, /disk full/);
  assert.match(text, /logger\.test\.ts/);
});

test("fields that hold secrets or a person's words are censored", () => {
  const body = { message_text: "hello there", client_phone: "+79194961182", token: "abc", secret: "def" };
  const text = logged((log) => log.info({ body }, "request"));
  for (const value of Object.values(body)) assert.ok(!text.includes(value), value);
});
