import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "./cli.ts";
import { recordStream } from "./recording.fixture.ts";

async function run(line: string) {
  const [stdout, stderr] = [recordStream(), recordStream()];
  const argv = line.split(" ").filter((word) => word !== "");
  const code = await runCli(argv, { stdout, stderr, environment: {}, directory: "/nowhere" });
  return { code, out: stdout.text(), err: stderr.text() };
}

test("help of a noun lists its verbs, each with an example", async () => {
  for (const line of ["help dead", "dead --help"]) {
    const { code, out } = await run(line);
    assert.equal(code, 0);
    assert.match(out, /dead list {2}list the dead letters[^]*npx tidings dead list --group inbox\n/);
    assert.match(out, /More about one of them: npx tidings help dead WORD\n$/);
    assert.doesNotMatch(out, /key create/);
  }
});

test("help of a verb shows its usage, what may be left out, and where the settings are explained", async () => {
  const { out } = await run("help dead retry");
  assert.match(out, /^dead retry: try a dead letter again/);
  assert.match(out, /Usage: {3}npx tidings dead retry \[ID\] \[--options\]/);
  assert.match(out, /May be left out: ID/);
  assert.match(out, / {2}--group GROUP\n {6}only those of one consumer group/);
  assert.match(out, /Settings such as --data-dir[^\n]*npx tidings help serve/);
  assert.match(
    (await run("help key create")).out,
    /Usage: {3}npx tidings key create NAME --scopes SCOPES \[--options\]/,
  );
});

test("without a verb, all are listed beside the output, with code 2", async () => {
  const { code, out, err } = await run("");
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /Usage: npx tidings VERB/);
});

test("the habits of other programs are understood", async () => {
  assert.match((await run("--version")).out, /^tidings \d/);
  assert.match((await run("-v")).out, /^tidings \d/);
  assert.match((await run("--help")).out, /Usage: npx tidings VERB/);
  assert.match((await run("-h key list")).out, /^key list: /);
});
