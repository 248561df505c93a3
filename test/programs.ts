import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

/** Programs that some tests need besides Node and PostgreSQL. CI installs them (`.ci/run`). */
export type Program = {
  /** Undefined where there is none. */
  readonly file: string | undefined;
  /** What the option `skip` of a test gets: in CI nothing is skipped, and the test fails. */
  readonly skip: string | false;
};

function programOf(what: string, file: string | undefined): Program {
  const skip = file === undefined && process.env["CI"] !== "true" && `needs ${what}`;
  return { file, skip };
}

const folders = (process.env["PATH"] ?? "").split(path.delimiter);

function onPath(name: string): readonly string[] {
  return folders.map((folder) => path.join(folder, name)).filter((file) => existsSync(file));
}

/** Chromium or Chrome: what `CHROMIUM` names, or the first on the PATH. */
export function findChromium(): Program {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const named = process.env["CHROMIUM"] ?? "";
  const [found] = named === "" ? names.flatMap(onPath) : [named];
  return programOf("Chromium on the PATH, or its file in CHROMIUM", found);
}

/** A Node of this major version, anywhere on the PATH. */
export function findNode(major: number): Program {
  const found = onPath("node").find((file) =>
    spawnSync(file, ["--version"], { encoding: "utf8" }).stdout.startsWith(`v${major}.`),
  );
  return programOf(`a Node ${major} on the PATH`, found);
}
