import assert from "node:assert/strict";
import { test } from "node:test";
import type { NewEntry } from "../../eventlog/eventlog.ts";
import { systemClock } from "../../lib/clock.ts";
import { createAccept, messageIdOf, seenMax } from "./accept.ts";

/** Accepts messages of one contact into a log that answers as it is told. */
function openAccept(answer: () => Promise<never[]> = () => Promise.resolve([])) {
  const appended: string[] = [];
  const eventlog = {
    append: ([entry]: readonly NewEntry[]) => {
      appended.push(entry?.id ?? "");
      return answer();
    },
  };
  const deps = { eventlog, clock: systemClock, config: { rateContact: { perSecond: 1e9, burst: 1e9 } } };
  const accept = createAccept(deps as unknown as Parameters<typeof createAccept>[0]);
  const send = (external_message_id: string): Promise<string> => {
    const body = {
      external_message_id,
      external_client_id: "c".repeat(32),
      client_phone: "+79194961182",
      message_text: "hello",
      send_at: 1,
    };
    return accept({ sourceId: 1, actor: "source:demo", body, text: JSON.stringify(body) });
  };
  return { send, appended };
}

test("what PostgreSQL finds nested too deep is refused alike for all who send it at once, and anew for who comes later", async () => {
  const tooComplex = Object.assign(new Error("stack depth"), { code: "54001" });
  const { send, appended } = openAccept(() => Promise.reject(tooComplex));
  const answers = await Promise.allSettled([send("a"), send("a"), send("a")]);
  for (const answer of answers) {
    assert.ok(answer.status === "rejected");
    assert.equal((answer.reason as { code: unknown }).code, "invalid_body");
  }
  assert.equal(appended.length, 1);
  await assert.rejects(send("a"), { code: "invalid_body" });
  assert.equal(appended.length, 2);
});

test("a repetition costs an append again when so many messages have come since, and not before", async () => {
  const { send, appended } = openAccept();
  await send("first");
  for (let i = 1; i < seenMax / 2; i++) await send(String(i));
  await send("first");
  assert.equal(appended.length, seenMax / 2);
  for (let i = 0; i <= seenMax; i++) await send(`later ${i}`);
  await send("first");
  assert.equal(appended.filter((id) => id === messageIdOf(1, "first")).length, 2);
});
