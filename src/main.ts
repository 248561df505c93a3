#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import path from "node:path";

// Before anything else is loaded, so that everything else is found compiled the next time. Not in the shared temporary
// directory, where another user could lay compiled code in our way. NODE_COMPILE_CACHE wins; read-only is no fault.
enableCompileCache(path.join(import.meta.dirname, "../node_modules/.cache/tidings"));

// An older Node.js has handed over to this one and waits (bin/tidings.mjs): when it is killed, nobody could stop this one
// any more. The descriptor is that of a pipe which it holds open.
const pipe = Number(process.env["TIDINGS_HANDED_OVER"]);
if (pipe > 2) {
  delete process.env["TIDINGS_HANDED_OVER"];
  const { Socket } = await import("node:net");
  new Socket({ fd: pipe, readable: true, writable: false })
    .on("error", () => undefined)
    .on("close", () => process.kill(process.pid, "SIGTERM"))
    .resume()
    .unref();
}

/** What a command leaves open (a connection that lingers) may not keep a finished process alive longer than this. */
const lingerMs = 1_000;

// `… | head` closes the pipe, a closed window the terminal: neither is a fault of this program.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || error.code === "EIO") return;
    // A full disk, for one. A second fault, of the stream for errors itself, has nowhere to be told.
    if (stream === process.stdout) process.stderr.write(`The output cannot be written: ${error.message}\n`);
    process.exit(1);
  });
}

const { runCli } = await import("./cli/cli.ts");
process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  directory: process.cwd(),
});
setTimeout(() => process.exit(), lingerMs).unref();
