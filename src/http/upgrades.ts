import type { Server } from "node:http";
import type { Socket } from "node:net";
import { all, compile } from "@fastify/proxy-addr";
import type { ErrorCode } from "../../protocol/errors.ts";
import { plainAddress } from "../access/address.ts";
import { placeOfHeaders } from "../access/development.ts";
import type { Config } from "../config.ts";
import type { Handshake } from "../deps.ts";
import type { ErrorDetails } from "../lib/errors.ts";
import { mayConnect } from "./cors.ts";
import { answerText, isAwaitingAnswer } from "./client-error.ts";
import type { InboundRequest } from "./inbound.ts";

/** Where WebSockets are opened. */
const path = "/ws";

/** Hands requests to become a WebSocket over; those to other paths, or all where nobody takes them, are refused. */
export function serveUpgrades(
  server: Server<typeof InboundRequest>,
  config: Pick<Config, "trustProxy" | "corsOrigins">,
  take: ((handshake: Handshake) => void) | undefined,
): void {
  const trust = config.trustProxy.length === 0 ? () => false : compile([...config.trustProxy]);
  server.on("upgrade", (request, stream, head) => {
    // What Node types as a stream is the connection's socket on every server but one of tests.
    const socket = stream as Socket;
    const refuse = (code: ErrorCode, details: ErrorDetails = {}): void => {
      socket.on("error", () => socket.destroy());
      const { detail, retryAfterS } = details;
      socket.end(
        answerText({
          code,
          ...(detail === undefined ? {} : { detail }),
          ...(retryAfterS === undefined ? {} : { retryAfterS }),
        }),
      );
      socket.destroySoon();
    };
    // One too many of those sent ahead, or one that has not waited for the answer to the one before.
    if (request.excess || isAwaitingAnswer(socket)) {
      socket.destroy();
      return;
    }
    if (take === undefined || request.url?.split("?")[0] !== path) {
      return refuse("not_found", { detail: `WebSockets are opened at ${path}` });
    }
    if (!mayConnect(config.corsOrigins, request.headers)) {
      return refuse("forbidden", { detail: "pages of this origin may not connect" });
    }
    const address = plainAddress(all(request, trust).at(-1));
    take({ request, socket, head, address, place: placeOfHeaders(request.headers), refuse });
  });
}
