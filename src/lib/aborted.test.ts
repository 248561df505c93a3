import assert from "node:assert/strict";
import { test } from "node:test";
import { unlessAborted, within, withTimeLimit } from "./aborted.ts";

const never = new Promise<string>(() => undefined);

test("what settles in time settles so, and what does not gets the late answer", async () => {
  assert.equal(await within(60_000, Promise.resolve(undefined), () => "late"), undefined);
  await assert.rejects(
    within(60_000, Promise.reject(new Error("its own")), () => "late"),
    /its own/,
  );
  assert.equal(await within(1, never, () => "late"), "late");
  const refused = within(1, never, () => {
    throw new Error("too late");
  });
  await assert.rejects(refused, /too late/);
});

test("work that takes too long is told to end, with the reason that was made for it", async () => {
  const ended = withTimeLimit(
    1,
    () => new Error("too late"),
    (signal) => unlessAborted(never, signal),
  );
  await assert.rejects(ended, /too late/);
  let told: AbortSignal | undefined;
  const done = await withTimeLimit(
    60_000,
    () => new Error("too late"),
    async (signal) => {
      told = signal;
      return "done";
    },
  );
  assert.deepEqual([done, told?.aborted], ["done", false]);
});
