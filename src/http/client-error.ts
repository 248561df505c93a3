import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type ErrorCode, errorRules } from "../../protocol/errors.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { errorCodeOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { InboundRequest } from "./inbound.ts";
import { destroyLater, isLingering } from "./linger.ts";
import { problemContentType, problemText } from "./problem.ts";
import { type Meters, unmatchedRoute } from "./route-meter.ts";

/**
 * Makes the handler of what never became a request: malformed HTTP, headers that are too large, or a request that did
 * not arrive in time. It writes to the socket itself; there is no response object, or one that was not used yet.
 */
export function createClientErrorHandler(options: {
  readonly log: Logger;
  readonly meters: Meters;
}): (error: Error, socket: Socket) => void {
  const { log, meters } = options;
  return (error, socket) => {
    // Answered already: what else arrives while the connection lingers is not worth a word.
    if (socket.writableEnded && !socket.destroyed) return;
    const faultCode = errorCodeOf(error);
    const pending = pendingResponse(socket);
    if (
      faultCode === "ECONNRESET" ||
      !socket.writable ||
      pending?.headersSent === true ||
      isLingering(socket)
    ) {
      socket.destroy();
      return;
    }
    const { code, detail } = refusalOf(faultCode);
    const { status } = errorRules[code];
    if (pending?.req instanceof InboundRequest) pending.req.rawStatus = status;
    else meters.of("OTHER", unmatchedRoute).record(status, 0);
    log.debug({ code: faultCode }, "malformed request refused");
    socket.end(answerText(code, detail));
    // A parse error leaves the client in the middle of sending: closing at once would reset the connection and take
    // the answer with it. A request that is late gets no more time.
    if (code === "request_timeout") socket.destroySoon();
    else destroyLater(socket);
  };
}

function refusalOf(faultCode: string | undefined): { code: ErrorCode; detail: string } {
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

function answerText(code: ErrorCode, detail: string): string {
  const { status } = errorRules[code];
  const requestId = uuidv7();
  const body = problemText(code, { detail }, requestId);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Connection: close",
    `Content-Type: ${problemContentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "X-Content-Type-Options: nosniff",
    `X-Request-Id: ${requestId}`,
    "",
    body,
  ].join("\r\n");
}

/** The response that Node has assigned to the socket. Node keeps it there for its own handler of these errors. */
function pendingResponse(socket: Socket): { headersSent: boolean; req: unknown } | undefined {
  return (
    (socket as Socket & { _httpMessage?: { headersSent: boolean; req: unknown } | null })._httpMessage ??
    undefined
  );
}
