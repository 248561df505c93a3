import type { Socket } from "node:net";

/**
 * How long a connection is still read from after an answer that came before the request was complete. Closing it
 * while the client sends would reset it, and the client would not get to read the answer.
 */
const lingerMs = 5_000;

const lingering = new WeakSet<Socket>();

/** Destroys the socket after a while, unless `keep` says that it has become usable again. */
export function destroyLater(socket: Socket, keep: () => boolean = () => false): void {
  lingering.add(socket);
  setTimeout(() => {
    lingering.delete(socket);
    if (!keep()) socket.destroy();
  }, lingerMs).unref();
}

/** Whether the socket has its answer and is only being read empty. */
export function isLingering(socket: Socket): boolean {
  return lingering.has(socket);
}
