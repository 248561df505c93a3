import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { type Load, type LoadResult, placeOf } from "../gateway/load.ts";
import { joinedBy, messageIn } from "../gateway/messages.ts";
import { obeyLoads } from "../gateway/sending-process.ts";
import { paced } from "../harness/paced.ts";

/** Socket.IO as its documentation sets it up for many clients: WebSocket only, no compression, rooms by `join`. */
const server = createServer();
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false });

io.on("connection", (socket) => {
  void socket.join(String(socket.handshake.query["id"]));
});

async function send(load: Load): Promise<LoadResult> {
  const result = await paced(load, (index, dueNs) => {
    const { id, number } = placeOf(load, index);
    const data = load.to === "rooms" ? messageIn(id, number, dueNs) : joinedBy(id, number, dueNs);
    io.to(String(id)).emit("message.created", data);
  });
  return { ...result, failed: 0 };
}

server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  obeyLoads((server.address() as AddressInfo).port, send);
});
