import assert from "node:assert/strict";
import { test } from "node:test";
import { type Place, UnreadList, unreadMax } from "./listen-unread.ts";
import { recordStream } from "./recording.fixture.ts";
import { createTerminal } from "./terminal.ts";

function open({ auto = false } = {}) {
  const [stdout, stderr] = [recordStream(), recordStream()];
  const list = new UnreadList(createTerminal({ stdout, stderr, env: {} }), { auto });
  const told: string[] = [];
  const connect = (): void => list.connected(({ notification_id: id }: Place) => told.push(id));
  connect();
  return {
    list,
    told,
    connect,
    shown: () => stdout.lines(),
    words: () => stderr.lines(),
    push: (id: string, message = id, source = "ops") => {
      const created_at = "2026-01-01T00:00:00Z";
      const data = { notification_id: id, stream_id: "1-0", message, source, created_at, status: "unread" };
      list.hear(JSON.stringify({ type: "notification.push", data }));
    },
    ack: (id: string) => {
      const data = { notification_id: id, stream_id: "1-0" };
      list.hear(JSON.stringify({ type: "notification.read.ack", data }));
    },
  };
}

test("what comes is shown with its source and time, once however often it comes, and again when it was read", () => {
  const { push, ack, shown } = open();
  push("a", "Hello");
  push("a", "Hello");
  ack("a");
  ack("a");
  assert.deepEqual(shown(), ["new   Hello  ops, 2026-01-01T00:00:00Z", "read  Hello"]);
});

test("nothing that a stranger wrote reaches the terminal as a command or as a line of its own", () => {
  const { list, push, ack, shown, words } = open();
  push("a", "one\r\nnew   forged\u001b[2J\u009b1A\u202eabc", "ops\u001b]0;title\u0007\nnew   forged");
  ack("a");
  const error = { title: "No\u001b[2J", detail: "two\nlines" };
  list.hear(JSON.stringify({ type: "error", error }));
  const message = "one new   forged\\u001b[2J\\u009b1A\\u202eabc";
  assert.deepEqual(shown(), [
    `new   ${message}  ops\\u001b]0;title\\u0007 new   forged, 2026-01-01T00:00:00Z`,
    `read  ${message}`,
  ]);
  assert.deepEqual(words(), ["No\\u001b[2J: two lines"]);
});

test("each press of Enter marks the oldest that was not marked before, on this connection", () => {
  const { list, push, ack, told, words, connect } = open();
  list.readOldest();
  assert.deepEqual(words(), ["Nothing is unread."]);
  for (const id of ["a", "b", "c"]) push(id);
  list.readOldest();
  list.readOldest();
  assert.deepEqual(told.splice(0), ["a", "b"]);
  ack("a");
  list.disconnected();
  list.readOldest();
  assert.match(words().at(-1) ?? "", /no connection at the moment: nothing was marked/);
  connect();
  // Whether the last connection carried it as far as the server, nobody knows.
  list.readOldest();
  list.readOldest();
  assert.deepEqual(told, ["b", "c"]);
});

test("with --auto everything is marked as it comes, and when it comes again", () => {
  const { push, told, shown } = open({ auto: true });
  push("a");
  push("a");
  assert.deepEqual([told, shown().length], [["a", "a"], 1]);
});

test("of more than can be unread at a time, the oldest is forgotten", () => {
  const { list, push, told } = open();
  for (let n = 0; n < unreadMax; n++) push(String(n));
  list.readOldest();
  push("one more");
  list.connected(({ notification_id: id }) => told.push(id));
  list.readOldest();
  assert.deepEqual(told, ["0", "1"]);
});

test("what is no message of this kind is left alone", () => {
  const { list, shown, words } = open();
  for (const text of [
    "",
    "{",
    "null",
    "7",
    "[]",
    '"notification.push"',
    '{"type":"news"}',
    '{"type":"notification.push"}',
    '{"type":"notification.push","data":null}',
    '{"type":"notification.push","data":{"notification_id":7,"stream_id":"1-0","message":"x"}}',
    '{"type":"notification.push","data":{"notification_id":"a","stream_id":"1-0","message":{}}}',
    '{"type":"notification.read.ack","data":{"notification_id":{}}}',
  ])
    list.hear(text);
  assert.deepEqual([shown(), words()], [[], []]);
});
