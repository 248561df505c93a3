import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { type Load, type LoadResult, placeOf } from "../gateway/load.ts";
import { peerTexts } from "../gateway/messages.ts";
import { obeyLoads } from "../gateway/sending-process.ts";
import { paced } from "../harness/paced.ts";

/**
 * What everybody writes first: a set of sockets per room, and a loop that sends them a text that is there already: no
 * log, no database, no other process before it.
 */
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });
const members = new Map<number, Set<WebSocket>>();

sockets.on("connection", (socket, request) => {
  const id = Number(new URL(request.url ?? "", "http://localhost").searchParams.get("id"));
  const room = members.get(id) ?? new Set<WebSocket>();
  members.set(id, room.add(socket));
  socket.on("close", () => room.delete(socket));
  socket.on("error", () => undefined);
});

async function send(load: Load): Promise<LoadResult> {
  const textOf = peerTexts(load.to);
  const result = await paced(load, (index, dueNs) => {
    const { id, number } = placeOf(load, index);
    const text = textOf(id, number, dueNs);
    for (const socket of members.get(id) ?? []) socket.send(text);
  });
  return { ...result, failed: 0 };
}

server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  obeyLoads((server.address() as AddressInfo).port, send);
});
