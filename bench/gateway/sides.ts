import { topics } from "../../protocol/topics.ts";
import type { Side } from "./delivery.ts";
import {
  socketIoDialect,
  socketIoSocket,
  tidingsDialect,
  tidingsSocket,
  wsDialect,
  wsSocket,
} from "./dialects.ts";
import { type Person, signIn } from "./people.ts";
import type { Sending } from "./sending.ts";
import type { Stage } from "./stage.ts";

/** The gateway, with a socket of each of these people: each reads one of the rooms in turn. */
export async function tidingsInRooms(
  stage: Pick<Stage, "gateway" | "sender">,
  people: readonly Person[],
  roomIds: readonly number[],
): Promise<Side> {
  const tokens = await signIn(people);
  return {
    ...tidings(stage),
    sockets: tokens.map((token, place) => {
      const id = inTurn(roomIds, place);
      return tidingsSocket(token, id, [topics.room(id)]);
    }),
  };
}

/** The gateway, with a socket of each of these people, who read what is for them alone. */
export async function tidingsForPeople(
  stage: Pick<Stage, "gateway" | "sender">,
  people: readonly Person[],
): Promise<Side> {
  const tokens = await signIn(people);
  return {
    ...tidings(stage),
    sockets: people.map(({ id }, place) => tidingsSocket(tokens[place] ?? "", id, [topics.user(id)])),
  };
}

function tidings({ gateway, sender }: Pick<Stage, "gateway" | "sender">): Omit<Side, "sockets"> {
  return {
    name: "Tidings",
    port: gateway.port,
    pid: gateway.pid,
    dialect: tidingsDialect,
    send: (load) => sender.send(load),
  };
}

/** So many sockets, in rooms of these ids in turn. */
export function wsLoop(peer: Sending, sockets: number, ids: readonly number[]): Side {
  return {
    ...peerSide("ws loop", peer),
    dialect: wsDialect,
    sockets: Array.from({ length: sockets }, (_, place) => wsSocket(inTurn(ids, place))),
  };
}

export function socketIo(peer: Sending, sockets: number, ids: readonly number[]): Side {
  return {
    ...peerSide("Socket.IO", peer),
    dialect: socketIoDialect,
    sockets: Array.from({ length: sockets }, (_, place) => socketIoSocket(inTurn(ids, place))),
  };
}

function peerSide(name: string, peer: Sending): Pick<Side, "name" | "port" | "pid" | "send"> {
  return { name, port: peer.port, pid: peer.pid, send: (load) => peer.send(load) };
}

function inTurn(ids: readonly number[], place: number): number {
  return ids[place % ids.length] ?? 0;
}
