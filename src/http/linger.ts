import type { Socket } from "node:net";

/**
 * How long a connection is still read from after an answer that came before the request was complete. Closing it
 * while the client sends would reset it, and the client would not get to read the answer.
 */
const lingerMs = 5_000;

/** Destroys the socket after a while, unless `keep` says that it has become usable again. */
export function destroyLater(socket: Socket, keep: () => boolean = () => false): void {
  setTimeout(() => {
    if (!keep()) socket.destroy();
  }, lingerMs).unref();
}
