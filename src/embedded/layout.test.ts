import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutOf, socketPathBytesMax } from "./layout.ts";

const longestNear = "/run/.s.PGSQL.5432".length;

test("sockets lie in the data directory as long as their path fits", () => {
  const dataDir = `/${"d".repeat(socketPathBytesMax - longestNear - 1)}`;
  assert.equal(layoutOf(dataDir).sockets, `${dataDir}/run`);
});

test("one byte more, and they have a short directory that only the data directory decides", () => {
  const dataDir = `/${"d".repeat(socketPathBytesMax - longestNear)}`;
  const { sockets } = layoutOf(dataDir);
  assert.match(sockets, /^\/tmp\/tidings-[0-9a-f]{16}$/);
  assert.equal(layoutOf(dataDir).sockets, sockets);
  assert.notEqual(layoutOf(`${dataDir}x`).sockets, sockets);
});
