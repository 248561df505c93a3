/**
 * As much of Socket.IO as the bench uses. Its own declarations are there only where the peers are installed, and the
 * types are checked where they are not, too.
 */
declare module "socket.io" {
  import type { Server as HttpServer } from "node:http";

  export type Socket = {
    readonly handshake: { readonly query: Readonly<Record<string, string | string[] | undefined>> };
    join(room: string): Promise<void> | void;
  };

  export class Server {
    constructor(
      server: HttpServer,
      options: { readonly transports: readonly string[]; readonly perMessageDeflate: boolean },
    );
    on(event: "connection", listener: (socket: Socket) => void): this;
    to(room: string): { emit(event: string, data: unknown): boolean };
  }
}
