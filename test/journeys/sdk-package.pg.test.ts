import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { MessagesPage } from "../../protocol/chat.ts";
import { examplesOf } from "../../scripts/sdk-declarations.ts";
import { buildPackage, tryPackage, withInstalled } from "../../scripts/sdk-package.ts";
import { findNode } from "../programs.ts";
import { openAccounts, password } from "./accounts.ts";

/*
 * The client as other people get it: the package, built and installed away from this repository, run by the oldest Node
 * that it says it runs on, with the program that its README shows for Node.
 */

const root = path.join(import.meta.dirname, "../..");
const manifest = JSON.parse(await readFile(path.join(root, "sdk/package.json"), "utf8")) as {
  readonly engines: { readonly node: string };
};
const oldestMajor = Number(/^>=(\d+)$/.exec(manifest.engines.node)?.[1]);
const oldest = findNode(oldestMajor);

/** Added to the README's program: waits until everything is sent, says who it is, and ends. */
const ending = `
while (chat.outbox.get().length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
await chat.openRoom(1);
console.log(JSON.stringify([process.version, client.account.get().username, chat.get().rooms[1].room.name]));
client.stop();
`;

async function readmeProgram(changes: Readonly<Record<string, string>>): Promise<string> {
  const readme = await readFile(path.join(root, "sdk/README.md"), "utf8");
  const found = examplesOf(readme).filter((code) => code.includes("folder-storage"));
  assert.equal(found.length, 1, "one example is for Node");
  // Before Node 22 there is no WebSocket, as the README says.
  const start = 'import { WebSocket } from "ws";\nglobalThis.WebSocket ??= WebSocket;\n';
  return Object.entries(changes).reduce(
    (code, [from, to]) => {
      assert.ok(code.includes(from), `the example has ${from}`);
      return code.replace(from, to);
    },
    `${start}${found[0] ?? ""}${ending}`,
  );
}

async function run(file: string, args: readonly string[], cwd: string): Promise<readonly unknown[]> {
  const child = spawn(file, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0, `${output}${errors}`);
  assert.equal(errors, "", "nothing is complained of");
  return JSON.parse(output) as readonly unknown[];
}

test(
  "the package compiles against its README, and its README's program runs on the oldest Node, also after a restart",
  { skip: oldest.skip },
  async (t) => {
    assert.ok(oldest.file !== undefined, `there is no Node ${oldestMajor} on the PATH`);
    const node = oldest.file;
    const target = await mkdtemp(path.join(os.tmpdir(), "tidings-package-"));
    t.after(() => rm(target, { recursive: true, force: true }));
    await buildPackage(target);
    await tryPackage(target, (line) => t.diagnostic(line));

    const accounts = await openAccounts(t);
    const bot = await accounts.register({ username: "weatherbot" });
    await withInstalled(target, async (away) => {
      await cp(path.join(root, "node_modules/ws"), path.join(away, "node_modules/ws"), { recursive: true });
      const file = path.join(away, "program.js");
      const program = (words: string, secret: string): Promise<string> =>
        readmeProgram({
          "https://chat.example.org": accounts.url,
          "correct horse battery staple": secret,
          "It will rain.": words,
        });
      // The second one could not sign in: it has to find the sign-in of the first.
      for (const [words, secret] of [
        ["first", password],
        ["second", "not the password"],
      ] as const) {
        await writeFile(file, await program(words, secret));
        const [version, ...rest] = await run(node, [file], away);
        assert.match(String(version), new RegExp(`^v${oldestMajor}\\.`));
        assert.deepEqual(rest, ["weatherbot", "general"]);
      }
    });
    const page = await accounts.request("GET", "/api/v1/rooms/1/messages", { key: bot.access_token });
    assert.deepEqual(
      (JSON.parse(page.text) as MessagesPage).items.map(({ content }) => content),
      ["first", "second"],
    );
  },
);
