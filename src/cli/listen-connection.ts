import { type ClientOptions, WebSocket } from "ws";
import { type CloseRule, afterClose, closeRules } from "../../protocol/close-codes.ts";
import { ServerAway, answerWithinMs, placeOf, whyOf } from "./server-calls.ts";
import type { UnreadList } from "./listen-unread.ts";

/** A server pings every 25 s: one that has been silent for so long, milliseconds, is out of reach. */
export const silentMs = 60_000;
/** How long the server's side of a close is waited for, milliseconds. */
const closeWithinMs = 2_000;

export type ConnectionOptions = {
  readonly server: URL;
  /** Who they say they are: the server asks the token. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly token: string;
  readonly unread: UnreadList;
  readonly onOpen: () => void;
  readonly signal: AbortSignal;
};

/**
 * A connection that is over, and within how many milliseconds it is to be opened again. `isUsual`: it has come to the end of
 * its token, as each does, which is nothing to tell anybody.
 */
export type Lost = { readonly why: string; readonly withinMs: number; readonly isUsual?: boolean };

/**
 * Hears what a person is told until the connection is over, or was ended by the signal. Throws `ServerAway` where none
 * came about, and another error where there is to be none with these credentials.
 */
export async function hearOnce(options: ConnectionOptions): Promise<Lost> {
  const { server, unread, signal } = options;
  const url = new URL("ws", server);
  url.protocol = server.protocol.replace("http", "ws");
  for (const [name, value] of Object.entries(options.parameters)) url.searchParams.set(name, value);
  const settings: ClientOptions & { readonly closeTimeout: number } = {
    // Not in the URL: those are written down on the way.
    headers: { authorization: `Bearer ${options.token}` },
    handshakeTimeout: answerWithinMs,
    closeTimeout: closeWithinMs,
    perMessageDeflate: false,
  };
  const socket = new WebSocket(url, settings);
  const end = (): void => socket.close(1000);
  signal.addEventListener("abort", end, { once: true });
  const watch = watchSilence(socket);
  try {
    const over = await ended(socket, options);
    if (signal.aborted) return { why: "", withinMs: 0 };
    return verdictOn(over, server);
  } finally {
    clearTimeout(watch);
    signal.removeEventListener("abort", end);
    unread.disconnected();
  }
}

type Over = {
  readonly code: number;
  readonly text: string;
  /** Whether there was a connection at all. */
  readonly opened: boolean;
  /** The HTTP status of a server that did not want one. */
  readonly status: number | undefined;
  readonly fault: unknown;
};

function ended(socket: WebSocket, { unread, onOpen, signal }: ConnectionOptions): Promise<Over> {
  let opened = false;
  let status: number | undefined;
  let fault: unknown;
  socket.on("open", () => {
    opened = true;
    unread.connected((data) => socket.send(JSON.stringify({ type: "notification.read", data })));
    onOpen();
  });
  socket.on("message", (data: Buffer) => unread.hear(data.toString()));
  socket.on("unexpected-response", (_request, response) => {
    status = response.statusCode;
    socket.terminate();
  });
  socket.on("error", (error) => (fault = error));
  return new Promise((resolve) => {
    socket.on("close", (code, text) => resolve({ code, text: text.toString(), opened, status, fault }));
    // It may have been aborted before anybody listened.
    if (signal.aborted) socket.close();
  });
}

/** Ends a connection over which nothing comes any more, not even pings. */
function watchSilence(socket: WebSocket): NodeJS.Timeout {
  const watch = setTimeout(() => socket.terminate(), silentMs);
  const heard = (): void => void watch.refresh();
  socket.on("open", heard).on("ping", heard);
  return watch;
}

function verdictOn({ code, text, opened, status, fault }: Over, server: URL): Lost {
  const place = placeOf(server);
  if (status !== undefined && status < 500 && status !== 429)
    throw new Error(`${place} answers ${status} to /ws: is that the server, with its gateway?`);
  if (!opened)
    throw new ServerAway(
      status === undefined
        ? `no server answers at ${place} (${whyOf(fault)})`
        : `${place} answers ${status} to /ws`,
    );
  const { reconnect, waitMaxMs } = afterClose(code);
  const meaning = Object.values<CloseRule>(closeRules).find((rule) => rule.code === code)?.meaning;
  const why = text !== "" ? text : (meaning ?? `code ${code}`);
  if (!reconnect) throw new Error(`${place} has closed the connection: ${why}`);
  const isUsual = code === closeRules.token_expired.code;
  return { why: `the connection to ${place} is lost (${why})`, withinMs: waitMaxMs, isUsual };
}
