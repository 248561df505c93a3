import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { StartupError } from "../lib/errors.ts";
import { chooseAccount, runsAsRoot } from "./account.ts";
import { findPackage } from "./binaries.ts";
import { copyPackage } from "./package-copy.ts";
import { repairPackage } from "./package-repair.ts";

/** A package as npm unpacks it without install scripts: no links, here even without execute bits. */
function unpack(t: TestContext): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "tidings-package-"));
  t.after(() => {
    fs.chmodSync(path.join(dir, "native", "lib"), 0o755);
    fs.rmSync(dir, { recursive: true });
  });
  for (const name of ["bin", "lib"]) fs.mkdirSync(path.join(dir, "native", name), { recursive: true });
  for (const name of ["bin/initdb", "bin/postgres", "lib/libx.so.1.2"]) {
    fs.writeFileSync(path.join(dir, "native", name), name, { mode: 0o600 });
  }
  const links = [{ source: "native/lib/libx.so.1.2", target: "native/lib/libx.so" }];
  fs.writeFileSync(path.join(dir, "native", "pg-symlinks.json"), JSON.stringify(links));
  return dir;
}

test("missing links and execute bits are added in place, a second time nothing is left to do", (t) => {
  const dir = unpack(t);
  assert.ok(repairPackage(dir));
  assert.ok(repairPackage(dir));
  assert.equal(fs.readlinkSync(path.join(dir, "native/lib/libx.so")), "libx.so.1.2");
  assert.equal(fs.statSync(path.join(dir, "native/bin/postgres")).mode & 0o777, 0o755);
});

test("a link that leads nowhere is replaced", (t) => {
  const dir = unpack(t);
  fs.symlinkSync("gone", path.join(dir, "native/lib/libx.so"));
  assert.ok(repairPackage(dir));
  assert.equal(fs.readFileSync(path.join(dir, "native/lib/libx.so"), "utf8"), "lib/libx.so.1.2");
});

/** Root may write anywhere: it looks on as the user that its PostgreSQL would run as. */
function asOrdinaryUser<T>(look: () => T): T {
  if (!runsAsRoot()) return look();
  process.seteuid?.(chooseAccount("/nowhere", undefined).uid);
  try {
    return look();
  } finally {
    process.seteuid?.(0);
  }
}

test("a read-only package is left alone and reported", (t) => {
  const dir = unpack(t);
  fs.chmodSync(dir, 0o755);
  fs.chmodSync(path.join(dir, "native/lib"), 0o555);
  assert.equal(
    asOrdinaryUser(() => repairPackage(dir)),
    false,
  );
  assert.deepEqual(fs.readdirSync(path.join(dir, "native/lib")), ["libx.so.1.2"]);
});

test("a copy is whole, usable and readable for every user, and made once", async (t) => {
  const dir = unpack(t);
  const target = path.join(dir, "copies", "below", "postgresql-1");
  assert.equal(await copyPackage(dir, target), target);
  assert.equal(fs.readFileSync(path.join(target, "native/lib/libx.so"), "utf8"), "lib/libx.so.1.2");
  assert.equal(fs.statSync(path.join(target, "native/lib/libx.so.1.2")).mode & 0o777, 0o644);
  assert.equal(fs.statSync(path.join(target, "native/bin/initdb")).mode & 0o777, 0o755);
  const made = fs.statSync(target).ino;
  await copyPackage(dir, target);
  assert.equal(fs.statSync(target).ino, made);
  assert.deepEqual(fs.readdirSync(path.dirname(target)), ["postgresql-1"]);
});

test("two processes that copy at the same time end with one whole copy", async (t) => {
  const dir = unpack(t);
  const target = path.join(dir, "copies", "postgresql-1");
  await Promise.all([copyPackage(dir, target), copyPackage(dir, target)]);
  assert.deepEqual(fs.readdirSync(path.dirname(target)), ["postgresql-1"]);
});

test("a platform without a package is refused with advice", () => {
  assert.throws(
    () => findPackage("sunos-x64"),
    new StartupError(
      "There is no embedded PostgreSQL for sunos-x64: set DATABASE_URL to a PostgreSQL 15 or newer",
    ),
  );
});
