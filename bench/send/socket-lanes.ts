import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { WebSocket } from "ws";
import { subprotocol } from "../../protocol/frames.ts";
import type { Lane, Lanes, SendLoad } from "./send-load.ts";

/** Messages of one socket on their way at once: all sockets together have as many as the HTTP connections and more. */
const perSocket = 8;
const answered = /^\{"type":"(answer|error)","id":(\d+)/;

/** One socket of each sender, with several lanes. It reads answers and nothing else: it is subscribed to no topic. */
export async function openSocketLanes({ port, tokens }: SendLoad): Promise<Lanes> {
  const sockets = await Promise.all(tokens.map((token) => openSocket(port, token)));
  return {
    // The lanes of one socket are far apart, so that a few that are busy are of different senders.
    lanes: Array.from({ length: perSocket }, () => sockets.map(laneOf)).flat(),
    [Symbol.dispose]: () => {
      for (const { socket } of sockets) socket.terminate();
    },
  };
}

type Sender = {
  readonly socket: WebSocket;
  readonly waiting: Map<number, (accepted: boolean) => void>;
  nextId: number;
};

async function openSocket(port: number, token: string): Promise<Sender> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, subprotocol, {
    headers: { authorization: `Bearer ${token}` },
    perMessageDeflate: false,
  });
  const waiting: Sender["waiting"] = new Map();
  socket.on("message", (data: Buffer) => {
    const [, type, id] = answered.exec(data.toString("latin1", 0, 60)) ?? [];
    if (id === undefined) return;
    waiting.get(Number(id))?.(type === "answer");
    waiting.delete(Number(id));
  });
  socket.on("close", () => {
    for (const resolve of waiting.values()) resolve(false);
  });
  await once(socket, "message");
  return { socket, waiting, nextId: 1 };
}

function laneOf(sender: Sender): Lane {
  return {
    send: (roomId, content) => {
      const id = sender.nextId++;
      const params = { room_id: roomId, client_msg_id: randomUUID(), content };
      sender.socket.send(JSON.stringify({ type: "request", id, name: "message.send", params }));
      return new Promise((resolve) => sender.waiting.set(id, resolve));
    },
  };
}
