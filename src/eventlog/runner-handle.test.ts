import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tx } from "../lib/db.ts";
import { tally } from "./consumer.fixture.ts";
import { handleInTime } from "./runner-handle.ts";

/** A transaction that notes its statements. */
function recordingTx(): { readonly tx: Tx; readonly statements: string[] } {
  const statements: string[] = [];
  const query = (text: string) => {
    statements.push(text);
    return Promise.resolve({ rows: [], rowCount: 0 });
  };
  const afterCommit = () => void statements.push("after commit");
  return { tx: { query, afterCommit }, statements };
}

const never = new AbortController().signal;

test("a handler that takes too long is told to end, and does nothing more to its transaction", async () => {
  const { tx, statements } = recordingTx();
  const late = Promise.withResolvers<void>();
  const seen: unknown[] = [];
  const consumer = tally({
    handleMaxMs: 5,
    handle: async (_, tx, signal) => {
      await tx.query("in time");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      tx.afterCommit(() => undefined);
      await tx.query("too late").catch((error: unknown) => seen.push(error));
      late.resolve();
    },
  });
  await assert.rejects(handleInTime(consumer, [], { tx, stopping: never }), {
    name: "HandlerTimeoutError",
    message: "the handler took longer than 5 ms",
  });
  await late.promise;
  assert.deepEqual([statements, seen.length], [["in time"], 1]);
});

test("a handler is given up when the process would wait no longer, also when that was before it began", async () => {
  const { tx } = recordingTx();
  const stopping = new AbortController();
  const consumer = tally({ handle: () => new Promise(() => undefined) });
  const handled = handleInTime(consumer, [], { tx, stopping: stopping.signal });
  stopping.abort();
  await assert.rejects(handled, { name: "StoppingError" });
  await assert.rejects(handleInTime(consumer, [], { tx, stopping: stopping.signal }), {
    name: "StoppingError",
  });
});

test("a handler that ends in time leaves nothing behind that keeps the process alive", async () => {
  const { tx, statements } = recordingTx();
  const before = process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  await handleInTime(tally(), [], { tx, stopping: never });
  const after = process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  assert.deepEqual([statements.length, after], [1, before]);
  await assert.rejects(
    handleInTime(tally({ handle: () => Promise.reject(new Error("no")) }), [], { tx, stopping: never }),
    { message: "no" },
  );
});
