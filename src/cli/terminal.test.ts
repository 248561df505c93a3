import assert from "node:assert/strict";
import { test } from "node:test";
import { readableLine } from "./log-lines.ts";
import { recordStream } from "./recording.fixture.ts";
import { printable, shortened, tableLines } from "./table.ts";
import { createTerminal } from "./terminal.ts";

const escape = "\u001b";

function setUp(isTTY: boolean, env: Record<string, string> = {}) {
  const [stdout, stderr] = [recordStream(isTTY), recordStream(isTTY)];
  return { stdout, stderr, terminal: createTerminal({ stdout, stderr, env }) };
}

test("in a pipe everything is plain lines, and only results are on standard output", () => {
  const { stdout, stderr, terminal } = setUp(false);
  terminal.step("starting the database");
  terminal.step("opening the port");
  terminal.endSteps();
  terminal.announce("ready");
  terminal.notice("careful");
  terminal.print(terminal.style("bold", "result"));
  assert.deepEqual(stdout.lines(), ["result"]);
  assert.deepEqual(stderr.lines(), ["starting the database …", "opening the port …", "ready", "careful"]);
});

test("colours appear in a terminal only, and not against NO_COLOR or a dumb one", () => {
  assert.equal(setUp(true).terminal.style("bold", "x"), `${escape}[1mx${escape}[22m`);
  assert.equal(setUp(false).terminal.style("bold", "x"), "x");
  assert.equal(setUp(true, { NO_COLOR: "1" }).terminal.style("bold", "x"), "x");
  assert.equal(setUp(true, { NO_COLOR: "" }).terminal.style("bold", "x"), `${escape}[1mx${escape}[22m`);
  assert.equal(setUp(true, { TERM: "dumb" }).terminal.style("bold", "x"), "x");
});

test("against NO_COLOR or in a dumb terminal, steps are plain lines, too", () => {
  for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
    const { stdout, stderr, terminal } = setUp(true, env);
    terminal.step("starting the database");
    terminal.step("listening");
    terminal.endSteps();
    terminal.announce("ready");
    assert.equal(stdout.text(), "starting the database …\nlistening …\nready\n");
    assert.equal(stderr.text(), "");
  }
});

test("in a terminal a step is one line that grows, and other lines do not tear it", () => {
  const { stdout, stderr, terminal } = setUp(true);
  terminal.step("starting the database");
  terminal.notice("a warning");
  terminal.endSteps();
  assert.equal(stderr.text(), "a warning\n");
  const clear = `\r${escape}[2K`;
  const shown = `${clear}starting the database … 0.0 s`;
  assert.equal(stdout.text(), `${shown}${clear}${shown}${shown}\n`);
});

test("tables are aligned, numbers to the right", () => {
  assert.deepEqual(
    tableLines(
      ["id", "name", "lag"],
      [
        [7, "Привет", 1_000],
        [12, "x", 5],
      ],
    ),
    ["id  name     lag", " 7  Привет  1000", "12  x          5"],
  );
  assert.deepEqual(tableLines(["id", "name"], []), ["id  name"]);
});

test("what strangers wrote cannot steer the terminal", () => {
  assert.equal(printable(`a${escape}[2Jb\u009bc\u202ed\r\n\te`), "a\\u001b[2Jb\\u009bc\\u202ed e");
  assert.equal(printable("Привет, 世界"), "Привет, 世界");
  assert.equal(shortened("😀😀😀", 2), "😀…");
});

test("a log line is short and readable, with the error's text but not its stack", () => {
  const line = JSON.stringify({
    level: "warn",
    time: "2026-03-01T12:00:01.000Z",
    pid: 1,
    partition: 3,
    err: { type: "Error", message: "refused", stack: "Error: refused\n at x" },
    msg: "connection lost",
  });
  assert.equal(readableLine(`${line}\n`), "12:00:01  warn   connection lost  partition=3  err=refused");
  assert.equal(readableLine("not json\n"), "not json");
  assert.ok(readableLine(JSON.stringify({ msg: "m", big: "x".repeat(1_000) })).length < 200);
});
