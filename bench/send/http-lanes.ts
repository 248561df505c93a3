import { randomUUID } from "node:crypto";
import { Connection } from "../ingest/connection.ts";
import type { Lane, Lanes, SendLoad } from "./send-load.ts";

const connections = 256;
const created = 201;

/** Keep-alive connections, each of one of the senders. */
export function openHttpLanes({ port, tokens }: SendLoad): Promise<Lanes> {
  const opened = Array.from({ length: connections }, (_, place) =>
    openLane(port, tokens[place % tokens.length] ?? ""),
  );
  return Promise.resolve({
    lanes: opened.map(({ lane }) => lane),
    [Symbol.dispose]: () => {
      for (const { connection } of opened) connection.close();
    },
  });
}

function openLane(port: number, token: string): { readonly lane: Lane; readonly connection: Connection } {
  let answer: (accepted: boolean) => void = () => undefined;
  const connection = new Connection(port, { onAnswer: (_, status) => answer(status === created) });
  const lane: Lane = {
    send: (roomId, content) => {
      const body = JSON.stringify({ client_msg_id: randomUUID(), content });
      const head = `POST /api/v1/rooms/${roomId}/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
      connection.send(Buffer.from(head + body));
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
  };
  return { lane, connection };
}
