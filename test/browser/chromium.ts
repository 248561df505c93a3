import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Readable, Writable } from "node:stream";

/** A tab of a real browser. */
export type Tab = {
  /** Goes to a page, and resolves when it is loaded. */
  go(url: string): Promise<void>;
  /** The value of an expression in the page; of a promise, what it comes to. Rejects when the page throws. */
  value(expression: string): Promise<unknown>;
  /** Takes the network away from this tab, or gives it back. */
  setOffline(offline: boolean): Promise<void>;
  close(): Promise<void>;
};

export type Chromium = { openTab(): Promise<Tab> };

type Cleanup = { after(callback: () => Promise<void>): void };
type Params = Readonly<Record<string, unknown>>;
type Reply = {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
};
type Send = (method: string, params?: Params, sessionId?: string) => Promise<unknown>;

/** How long the browser may take to start, or to carry out a command, milliseconds. */
const commandMs = 30_000;

/** Starts a browser without a window, with a profile of its own; both are gone after the test. */
export async function startChromium(t: Cleanup, file: string): Promise<Chromium> {
  const profile = await mkdtemp(path.join(os.tmpdir(), "tidings-chromium-"));
  const child = spawn(
    file,
    [
      "--headless=new",
      // Commands come by a pipe (file descriptors 3 and 4): nobody else on the machine can send any.
      "--remote-debugging-pipe",
      `--user-data-dir=${profile}`,
      // Its sandbox does not work for root, or in a container; the only pages it sees are the test's own.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      // A page that is left is gone, as after a crash, and not kept for the way back.
      "--disable-features=BackForwardCache",
    ],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
  );
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });
  const [, , , commands, replies] = child.stdio as unknown as [null, null, null, Writable, Readable];
  const send = createSend(commands, replies);
  await send("Browser.getVersion");
  return { openTab: () => openTab(send) };
}

/** The browser's protocol: JSON texts, each ended by a NUL. */
function createSend(commands: Writable, replies: Readable): Send {
  const waiting = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  let rest = "";
  commands.on("error", () => undefined);
  replies.setEncoding("utf8");
  replies.on("data", (text: string) => {
    const parts = (rest + text).split("\0");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const reply = JSON.parse(part) as Reply;
      // What has no id is an event, and nobody has asked for one.
      if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
    }
  });
  const fail = (): void => {
    for (const settle of waiting.values()) settle({ error: { message: "the browser has gone" } });
  };
  replies.on("close", fail);
  return (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      const settle = ({ result, error }: Reply): void => {
        clearTimeout(timer);
        waiting.delete(id);
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      };
      const timer = setTimeout(() => settle({ error: { message: "no answer in time" } }), commandMs);
      waiting.set(id, settle);
      const whose = sessionId === undefined ? {} : { sessionId };
      commands.write(`${JSON.stringify({ id, method, params, ...whose })}\0`);
    });
}

async function openTab(send: Send): Promise<Tab> {
  const { targetId } = (await send("Target.createTarget", { url: "about:blank" })) as {
    readonly targetId: string;
  };
  const { sessionId } = (await send("Target.attachToTarget", { targetId, flatten: true })) as {
    readonly sessionId: string;
  };
  const tell: Send = (method, params) => send(method, params, sessionId);
  await tell("Network.enable");
  await tell("Page.enable");

  const value: Tab["value"] = async (expression) => {
    const { result, exceptionDetails } = (await tell("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as {
      readonly result: { readonly value?: unknown };
      readonly exceptionDetails?: { readonly text: string; readonly exception?: { description?: string } };
    };
    if (exceptionDetails === undefined) return result.value;
    throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
  };
  return {
    value,
    go: async (url) => {
      const { errorText } = (await tell("Page.navigate", { url })) as { readonly errorText?: string };
      if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
      const loaded = `new Promise((resolve) => {
        if (document.readyState === "complete") resolve();
        else addEventListener("load", () => resolve(), { once: true });
      })`;
      await value(loaded);
    },
    setOffline: async (offline) => {
      const free = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
      await tell("Network.emulateNetworkConditions", { offline, ...free });
    },
    close: async () => {
      await send("Target.closeTarget", { targetId });
    },
  };
}
