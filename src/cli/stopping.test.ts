import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { type TestContext, test } from "node:test";
import { stopWithinMs, watchStopSignals } from "./stopping.ts";

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const signals = new EventEmitter();
  const [lines, exits]: [string[], number[]] = [[], []];
  const clock = { ms: 0 };
  const server = { accepting: true };
  const stopping = watchStopSignals({
    signals,
    announce: (text) => lines.push(text),
    accepting: () => server.accepting,
    exit: (code) => exits.push(code),
    whatHangs: () => "closing the worker did not end",
    now: () => clock.ms,
  });
  const pass = (ms: number): void => {
    clock.ms += ms;
    t.mock.timers.tick(ms);
  };
  return { signals, lines, exits, stopping, pass, server };
}

test("the first Ctrl-C begins an orderly end and says so, the second ends at once", async (t) => {
  const { signals, lines, exits, stopping, pass } = setUp(t);
  signals.emit("SIGINT");
  await stopping.requested;
  assert.match(lines.join(), /stopping: finishing what was accepted.*Ctrl-C again to end at once/);
  assert.deepEqual(exits, []);
  pass(1_000);
  signals.emit("SIGINT");
  assert.deepEqual(exits, [130]);
});

test("Ctrl-C before anything could be accepted says no more than that it stops, and gives the start up", (t) => {
  const { signals, lines, stopping, server } = setUp(t);
  server.accepting = false;
  assert.equal(stopping.signal.aborted, false);
  signals.emit("SIGINT");
  assert.deepEqual(lines, ["stopping… press Ctrl-C again to end at once"]);
  assert.equal(stopping.signal.aborted, true);
});

test("one press that arrives twice, as under npm, is one press", (t) => {
  const { signals, lines, exits, pass } = setUp(t);
  signals.emit("SIGINT");
  pass(20);
  signals.emit("SIGINT");
  assert.deepEqual(exits, []);
  assert.equal(lines.length, 1);
});

test("a server that does not end within 10 s is ended, with a line that says what hung", async (t) => {
  const { signals, lines, exits, stopping, pass } = setUp(t);
  signals.emit("SIGTERM");
  await stopping.requested;
  signals.emit("SIGTERM");
  pass(stopWithinMs - 1);
  assert.deepEqual(exits, []);
  pass(1);
  assert.deepEqual(exits, [1]);
  assert.match(lines[1] ?? "", /longer than 10 s: closing the worker did not end/);
});

test("a closed window ends the server as SIGTERM does", async (t) => {
  const { signals, stopping } = setUp(t);
  signals.emit("SIGHUP");
  await stopping.requested;
});

test("once all is done, signals and the deadline are forgotten", (t) => {
  const { signals, exits, stopping, pass } = setUp(t);
  signals.emit("SIGTERM");
  stopping[Symbol.dispose]();
  pass(stopWithinMs);
  assert.deepEqual(exits, []);
  assert.deepEqual(signals.eventNames(), []);
});
