import { subprotocol } from "../../protocol/frames.ts";
import type { Dialect, SinkSocket } from "../sink/sink.ts";

/** How the three kinds of servers are spoken to. */
export const tidingsDialect: Dialect = {
  subprotocol,
  counted: '{"type":"entry"',
  ready: '{"type":"subscribed"',
};
export const wsDialect: Dialect = { subprotocol: "", counted: '{"type":"message.created"', ready: "" };
export const socketIoDialect: Dialect = { subprotocol: "", counted: '42["message.created"', ready: "40" };

/** A socket of a person that reads topics; its markers are those of the first. */
export function tidingsSocket(token: string, key: number, topics: readonly string[]): SinkSocket {
  return {
    path: `/ws?token=${token}`,
    first: JSON.stringify({ type: "subscribe", id: 1, topics }),
    topic: topics[0] ?? "",
    key,
  };
}

/** A socket in a room, or of a person, of the same id. */
export function wsSocket(id: number): SinkSocket {
  return { path: `/?id=${id}`, first: "", topic: "", key: id };
}

export function socketIoSocket(id: number): SinkSocket {
  return { path: `/socket.io/?EIO=4&transport=websocket&id=${id}`, first: "40", topic: "", key: id };
}
