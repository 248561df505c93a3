import assert from "node:assert/strict";
import { test } from "node:test";
import type { Notification } from "../../../protocol/notifications.ts";
import { Shown } from "./shown.ts";

function one(n: number, status: Notification["status"] = "unread"): Notification {
  return {
    notification_id: `n${n}`,
    stream_id: `${n}-0`,
    message: `lasting ${n}`,
    created_at: "2026-01-01T00:00:00Z",
    source: "chaos",
    status,
    category: "general",
    critical: false,
    link: null,
    gathered: 1,
    expires_at: "2027-01-01T00:00:00Z",
  };
}

/** What is said of the last of these states. */
function faultsOf(...states: readonly (readonly Notification[])[]): readonly string[] {
  const shown = new Shown();
  return states.map((notifications) => shown.look({ notifications, unread: 1 }).faults).at(-1) ?? [];
}

test("what comes, is read and goes is in order", () => {
  assert.deepEqual(
    faultsOf([one(1)], [one(1), one(2)], [one(1, "read"), one(2, "seen")], [one(2, "read")]),
    [],
  );
  const shown = new Shown();
  shown.look({ notifications: [one(1)], unread: 1 });
  assert.deepEqual(shown.look({ notifications: [one(1), one(2)], unread: 2 }).fresh, [one(2)]);
});

test("every planted fault is found", () => {
  assert.deepEqual(faultsOf([one(1), one(1)]), ["shows something twice", "shows something out of order"]);
  assert.deepEqual(faultsOf([one(2), one(10), one(9)]), ["shows something out of order"]);
  assert.deepEqual(faultsOf([one(1)], [], [one(1)]), ["shows n1 again, which had gone"]);
  assert.deepEqual(faultsOf([one(1, "read")], [one(1)]), ["shows n1 as unread again"]);
  assert.deepEqual(new Shown().look({ notifications: [], unread: -1 }).faults, ["counts -1"]);
});
