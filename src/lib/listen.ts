import type { Server } from "node:net";
import { StartupError, errorCodeOf } from "./errors.ts";

export type ListenAddress = { readonly host: string; readonly port: number };

/**
 * Connections that the kernel keeps until they are accepted; it may allow fewer (`net.core.somaxconn`). After a restart
 * everybody comes back within a second, and whoever finds no place tries again only after seconds.
 */
const backlogMax = 16_384;

/**
 * Opens the port and resolves with where it is; port 0 takes a free one. Rejects with a `StartupError` that names the
 * option to change, `option` being the one that the port came from.
 */
export async function listen(server: Server, at: ListenAddress, option: string): Promise<ListenAddress> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...at, backlog: backlogMax }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    throw listenFault(error, at, option) ?? error;
  }
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("the server does not listen on a port");
  return { host: address.address, port: address.port };
}

function listenFault(
  error: unknown,
  { host, port }: ListenAddress,
  option: string,
): StartupError | undefined {
  switch (errorCodeOf(error) ?? "") {
    case "EADDRINUSE": {
      const other = port < 65_535 ? port + 1 : port - 1;
      return new StartupError(
        `port ${port} is already taken by another program; choose another with ${option}=${other}`,
      );
    }
    case "EACCES":
      return new StartupError(
        `port ${port} may not be opened by this user; choose one above 1023 with ${option}=${port + 5_000}`,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new StartupError(`${option.replace("PORT", "HOST")}=${host} is not an address of this machine`);
    default:
      return undefined;
  }
}
