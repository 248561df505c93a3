import { mkdtemp, rm } from "node:fs/promises";
import { type Socket, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { DbAddress } from "../../src/lib/db.ts";

/** What becomes of a statement: `lost` before the server reads it, `unanswered` after the server has carried it out. */
export type Fate = "answered" | "lost" | "unanswered";

/**
 * Stands between a client and PostgreSQL, and cuts the connection of some statements. `fateOf` is asked for everything
 * a client sends; what it says of the last one counts.
 */
export async function startCuttingProxy(
  address: DbAddress,
  fateOf: (sent: string) => Fate,
): Promise<AsyncDisposable & { readonly address: DbAddress }> {
  const file = `.s.PGSQL.${address.port}`;
  const directory = await mkdtemp(path.join(tmpdir(), "tidings-proxy-"));
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(path.join(address.host, file));
    let fate: Fate = "answered";
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on("data", (chunk) => {
      fate = fateOf(chunk.toString("latin1"));
      if (fate === "lost") cut();
      else upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      // The answer to a whole message comes behind its commit.
      if (fate === "unanswered") cut();
      else client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(path.join(directory, file), resolve));
  return {
    address: { ...address, host: directory },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
