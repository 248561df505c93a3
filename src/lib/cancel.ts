import { connect as openSocket, isIP } from "node:net";
import { connect as openTls } from "node:tls";

export type ServerAddress = {
  readonly host: string;
  readonly port: number;
  readonly ssl?: boolean | { readonly rejectUnauthorized: boolean };
};

/** How long the way to the server may take, milliseconds. */
const cancelMaxMs = 1_000;
const [cancelCode, tlsCode] = [80_877_102, 80_877_103];
const yes = "S".charCodeAt(0);

/**
 * Asks PostgreSQL to end the statement that a `pg` client has running: a backend whose client has gone would notice only
 * when it has finished, and keep its locks as long. By the protocol's own request on a connection of its own, in the
 * background, and without an answer: a pooler that has seen the client go may not know whose statement is meant.
 */
export function cancelStatement(server: ServerAddress, client: object): void {
  // What `pg` was told when it connected; its types do not mention it.
  const { processID, secretKey } = client as Readonly<Record<string, unknown>>;
  if (typeof processID !== "number" || typeof secretKey !== "number") return;
  const request = message(cancelCode, processID, secretKey);
  const { host, port, ssl = false } = server;
  const socket = host.startsWith("/") ? openSocket(`${host}/.s.PGSQL.${port}`) : openSocket(port, host);
  const timer = setTimeout(() => socket.destroy(), cancelMaxMs);
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", () => undefined);
  if (ssl === false) {
    socket.once("connect", () => socket.end(request));
    return;
  }
  socket.once("connect", () => socket.write(message(tlsCode)));
  socket.once("data", (answer) => {
    if (answer[0] !== yes) {
      socket.destroy();
      return;
    }
    const name = isIP(host) === 0 ? { servername: host } : {};
    const secure = openTls({ socket, ...name, ...(ssl === true ? {} : ssl) });
    secure.on("error", () => undefined);
    secure.once("secureConnect", () => secure.end(request));
  });
}

function message(...numbers: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * (numbers.length + 1));
  for (const [i, number] of [buffer.length, ...numbers].entries()) buffer.writeInt32BE(number, 4 * i);
  return buffer;
}
