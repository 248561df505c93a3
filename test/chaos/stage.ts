import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { endAll } from "./processes.ts";
import { Server, freePort } from "./server.ts";

const firstStartLimitMs = 60_000;

/** A server that runs, and what the one who has just been made for it may do everything with. */
export type Opened = { readonly dir: string; readonly server: Server; readonly key: string };

/** A directory of its own under which a server and its PostgreSQL live, and nothing of which is left afterwards. */
export class Stage {
  #dir: string | undefined;
  #server: Server | undefined;

  async open(): Promise<Opened> {
    const dir = await mkdtemp(path.join(os.tmpdir(), "tidings-chaos-"));
    this.#dir = dir;
    // Started by root, PostgreSQL runs as another user, who must get through here.
    await chmod(dir, 0o755);
    const dataDir = path.join(dir, "data");
    const server = new Server({ dataDir, port: await freePort(), logFile: path.join(dir, "server.log") });
    this.#server = server;
    server.start();
    if (!(await server.untilReady(firstStartLimitMs))) throw new Error("the first start did not succeed");
    const key = (await readFile(path.join(dataDir, "development-key"), "utf8")).trim();
    return { dir, server, key };
  }

  /** The last lines of the server, in words for a person. */
  lastWords(lines: number): string {
    return this.#server === undefined ? "" : `the server's last lines:\n${this.#server.logTail(lines)}`;
  }

  /** Ends everything that runs there, and removes what that wrote. */
  async tidyUp(): Promise<void> {
    await this.#server?.retire();
    if (this.#dir === undefined) return;
    await endAll(this.#dir);
    await rm(this.#dir, { recursive: true, force: true });
  }
}
