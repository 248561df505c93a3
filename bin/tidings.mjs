#!/usr/bin/env -S node --max-semi-space-size=16
// The way in for any Node.js, and therefore plain JavaScript: the program itself is TypeScript, which only the Node.js
// that this project brings is sure to run. Says in one sentence what to do when that one is not there.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

// 24.7 is the first that computes Argon2.
const oldest = "24.7";
const version = process.versions.node;
const main = new URL("../src/main.ts", import.meta.url);
const packages = fileURLToPath(new URL("../node_modules", import.meta.url));
/** What fetches it, in its install script; a development dependency. */
const ownPackage = fileURLToPath(new URL("../node_modules/node", import.meta.url));
const ownNode = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url));

if (!existsSync(packages)) {
  refuse('The packages of Tidings are not installed: run "npm ci" first');
} else if (isRecent(version)) {
  await import(main.href);
} else if (existsSync(ownNode)) {
  handOver();
} else {
  const command = existsSync(ownPackage) ? "npm rebuild node --ignore-scripts=false" : "npm ci --include=dev";
  refuse(
    `Tidings needs Node.js ${oldest} or newer, and this is ${version}: run "${command}", which fetches one for this project alone, or install Node.js ${oldest}`,
  );
}

/** @param {string} version */
function isRecent(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split(".").map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** @param {string} sentence */
function refuse(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exitCode = 1;
}

/**
 * Node.js cannot replace itself before version 22, so this process stays and passes on signals and the end. Its own end,
 * however it comes, closes a pipe, which stops the other (src/main.ts).
 */
function handOver() {
  const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  // Before there is a process that would be left behind by one of them.
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  const child = spawn(ownNode, [...process.execArgv, fileURLToPath(main), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, TIDINGS_HANDED_OVER: "3" },
  });
  child.on("error", (error) => refuse(`${ownNode} cannot be started: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}
