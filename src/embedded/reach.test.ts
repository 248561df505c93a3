import assert from "node:assert/strict";
import { test } from "node:test";
import { type Ownership, closedPart } from "./reach.ts";

const who = { uid: 101, gid: 104 };
const open: Ownership = { uid: 0, gid: 0, mode: 0o40755 };

function look(paths: Readonly<Record<string, Ownership>>): (path: string) => Ownership | undefined {
  return (path) => paths[path];
}

test("a path whose parts are open to everybody is reachable", () => {
  assert.equal(closedPart("/srv/app", who, look({ "/": open, "/srv": open, "/srv/app": open })), undefined);
});

test("the topmost closed part is named", () => {
  const closed = { ...open, mode: 0o40700 };
  const disk = look({ "/": open, "/root": closed, "/root/app": closed });
  assert.equal(closedPart("/root/app/data", who, disk), "/root");
});

test("a part may be entered without being listed", () => {
  assert.equal(closedPart("/srv", who, look({ "/": open, "/srv": { ...open, mode: 0o40711 } })), undefined);
});

test("parts that are still to be made count as open", () => {
  assert.equal(closedPart("/srv/a/b", who, look({ "/": open, "/srv": open })), undefined);
});

test("the owner's and the group's bits decide for owner and group, also against the others' bits", () => {
  const as = (part: Ownership): string | undefined => closedPart("/x", who, look({ "/": open, "/x": part }));
  assert.equal(as({ uid: 101, gid: 0, mode: 0o700 }), undefined);
  assert.equal(as({ uid: 101, gid: 0, mode: 0o077 }), "/x");
  assert.equal(as({ uid: 0, gid: 104, mode: 0o710 }), undefined);
  assert.equal(as({ uid: 0, gid: 104, mode: 0o701 }), "/x");
});
