import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf } from "./usable-database.ts";

const usable = { version: 150_000, encoding: "UTF8", fsync: "off" };

test("PostgreSQL 15 is new enough, and what came before it is refused with its version", () => {
  assert.equal(refusalOf(usable, "talk"), undefined);
  assert.equal(refusalOf({ ...usable, version: 180_004 }, "talk"), undefined);
  assert.equal(
    refusalOf({ ...usable, version: 149_999 }, "talk"),
    'PostgreSQL 15 or newer is needed, and the database "talk" is of version 14',
  );
});

test("only UTF8 can keep every text", () => {
  for (const encoding of ["SQL_ASCII", "LATIN1"]) {
    assert.match(
      refusalOf({ ...usable, encoding }, "talk") ?? "",
      new RegExp(`^The database "talk" is encoded in ${encoding}: create it anew`),
    );
  }
});
