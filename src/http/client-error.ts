import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ErrorCode, errorRules } from "../../protocol/errors.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { type ErrorDetails, errorCodeOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { InboundRequest } from "./inbound.ts";
import { destroyLater } from "./linger.ts";
import { allowedAnywhere } from "./not-found.ts";
import type { OutboundResponse } from "./outbound.ts";
import { pipelineOf } from "./pipeline.ts";
import { problemContentType, problemText } from "./problem.ts";
import { type Meters, unmatchedRoute } from "./route-meter.ts";

type Context = { readonly log: Logger; readonly meters: Meters };

/**
 * Makes the handler of what never became a request: malformed HTTP, headers that are too large, or a request that did
 * not arrive in time. It writes to the socket itself; there is no response object, or one that was not used yet.
 */
export function createClientErrorHandler(context: Context): (error: Error, socket: Socket) => void {
  const { log } = context;
  return (error, socket) => {
    const pipeline = pipelineOf(socket);
    // Answered already, or about to be: what else arrives is not worth a word.
    if ((socket.writableEnded && !socket.destroyed) || pipeline.ending) return;
    const faultCode = errorCodeOf(error);
    const pending = pendingResponse(socket);
    const late = faultCode === "ERR_HTTP_REQUEST_TIMEOUT";
    if (faultCode === "ECONNRESET" || !socket.writable || pipeline.lingering) {
      socket.destroy();
      return;
    }
    const refuse = (request: InboundRequest | undefined): void => {
      log.debug({ code: faultCode }, "malformed request refused");
      // A parse error leaves the client in the middle of sending: closing at once would reset the connection and take
      // the answer with it. A request that is late gets no more time.
      answerRaw(socket, refusalOf(faultCode), { context, request, closeNow: late });
    };
    if (pending?.req.complete === true && !(late && pending.headersSent)) {
      // What is wrong comes after a request that was accepted: that one gets its own answer first.
      pipeline.endWith(() => refuse(undefined));
    } else if (pending?.headersSent === true) {
      socket.destroy();
    } else {
      refuse(pending?.req);
    }
  };
}

export type ConnectHandler = {
  readonly handle: (request: InboundRequest, socket: Duplex) => void;
  /** Ends the connections that have asked for it: Node counts them out, but closing waits for them. */
  readonly closeAll: () => void;
};

/** Makes the handler of `CONNECT`, for which Node has no response object. */
export function createConnectHandler(context: Context): ConnectHandler {
  const sockets = new Set<Socket>();
  const handle: ConnectHandler["handle"] = (_request, duplex) => {
    // A server of plain HTTP has no other kind.
    const socket = duplex as Socket;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // Node has taken its own listeners away.
    socket.on("error", () => socket.destroy());
    socket.on("timeout", () => socket.destroy());
    pipelineOf(socket).endWith(() =>
      answerRaw(
        socket,
        {
          code: "method_not_allowed",
          detail: "this server is no proxy",
          headers: [`Allow: ${allowedAnywhere}`],
        },
        { context, request: undefined, closeNow: false },
      ),
    );
  };
  return {
    handle,
    closeAll: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

type RawRefusal = Pick<ErrorDetails, "detail" | "retryAfterS"> & {
  readonly code: ErrorCode;
  readonly headers?: readonly string[];
};

/** Writes a problem to the socket, as the answer to `request` if there is one, and closes the connection. */
function answerRaw(
  socket: Socket,
  refusal: RawRefusal,
  options: { context: Context; request: InboundRequest | undefined; closeNow: boolean },
): void {
  if (!socket.writable) return;
  const { context, request, closeNow } = options;
  const { status } = errorRules[refusal.code];
  if (request === undefined) context.meters.of("OTHER", unmatchedRoute).record(status, 0);
  else request.rawStatus = status;
  socket.end(answerText(refusal));
  if (closeNow) socket.destroySoon();
  else destroyLater(socket);
}

function refusalOf(faultCode: string | undefined): RawRefusal {
  switch (faultCode ?? "") {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { code: "request_timeout", detail: "the request did not arrive in full in time" };
    case "HPE_HEADER_OVERFLOW":
      return { code: "headers_too_large", detail: "the headers are larger than the server reads" };
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return { code: "body_too_large", detail: "the chunk extensions are too large" };
    case "HPE_INVALID_URL":
      return { code: "invalid_path", detail: "the request target is not a valid URL" };
    default:
      return { code: "invalid_header", detail: "the request is not well-formed HTTP" };
  }
}

/** A whole answer, for sockets that have no response object. */
export function answerText({ code, headers = [], ...details }: RawRefusal): string {
  const { status } = errorRules[code];
  const requestId = uuidv7();
  const body = problemText(code, details, requestId);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Connection: close",
    `Content-Type: ${problemContentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "X-Content-Type-Options: nosniff",
    `X-Request-Id: ${requestId}`,
    ...(details.retryAfterS === undefined ? [] : [`Retry-After: ${details.retryAfterS}`]),
    ...headers,
    "",
    body,
  ].join("\r\n");
}

/** Whether a request of this connection has not been answered yet. */
export function isAwaitingAnswer(socket: Socket): boolean {
  return pendingResponse(socket) !== undefined;
}

/** The response that Node has assigned to the socket. Node keeps it there for its own handler of these errors. */
function pendingResponse(socket: Socket & { _httpMessage?: OutboundResponse | null }) {
  return socket._httpMessage ?? undefined;
}
