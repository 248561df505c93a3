import assert from "node:assert/strict";
import { test } from "node:test";
import { StartupError } from "../lib/errors.ts";
import { chooseDataDir } from "./data-dir.ts";
import type { Look } from "./reach.ts";

const account = { name: "postgres", uid: 101, gid: 104 };
const look: Look = (path) => ({ uid: 0, gid: 0, mode: path === "/root" ? 0o700 : 0o755 });

test("a reachable directory is used as it was asked for", () => {
  const asked = { dataDir: "/srv/app/.tidings", isDefault: true, cwd: "/srv/app" };
  assert.deepEqual(chooseDataDir(asked, account, look), { dataDir: "/srv/app/.tidings" });
});

test("the usual directory below a closed one is replaced, and a note says so", () => {
  const asked = { dataDir: "/root/app/.tidings", isDefault: true, cwd: "/root/app" };
  const choice = chooseDataDir(asked, account, look);
  assert.match(choice.dataDir, /^\/var\/lib\/tidings\/app-[0-9a-f]{8}$/);
  assert.match(
    choice.note ?? "",
    /^The data lies in \/var\/lib\/tidings\/app-.*"postgres" cannot enter \/root\.$/,
  );
});

test("projects of the same name have directories of their own, each always the same", () => {
  const choose = (cwd: string): string =>
    chooseDataDir({ dataDir: `${cwd}/.tidings`, isDefault: true, cwd }, account, look).dataDir;
  assert.notEqual(choose("/root/a/app"), choose("/root/b/app"));
  assert.equal(choose("/root/a/app"), choose("/root/a/app"));
});

test("a directory that was asked for by name and is closed is refused with advice", () => {
  const asked = { dataDir: "/root/data", isDefault: false, cwd: "/srv/app" };
  assert.throws(
    () => chooseDataDir(asked, account, look),
    (error) =>
      error instanceof StartupError &&
      /because \/root is closed .* choose another DATA_DIR/.test(error.message),
  );
});
