import type { Socket } from "node:net";
import { type RawData, type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { protocolVersion, subprotocol } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import { type Actor, actorName } from "../access/actor.ts";
import { addressKey } from "../access/address.ts";
import { credentialOf } from "../access/credential.ts";
import type { Handshake } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import type { Admission } from "./admission.ts";
import { Connection } from "./connection.ts";
import { nativeFrames } from "./encodings.ts";
import { frameOf } from "./frames.ts";
import type { Gateway } from "./gateway.ts";
import { heartbeatMs } from "./keeper.ts";
import { WebSocketLink, closeWithinMs } from "./link.ts";
import { asRefusal } from "./refusals.ts";
import { beginPlain } from "./plain-beginning.ts";
import { signIn } from "./sign-in.ts";
import { authorizeAgain } from "./subscribing.ts";

/** How long a connection may stand without having shown credentials, milliseconds. */
export const authWithinMs = 10_000;

/** How connections come to be: the handshake, the limits at the door, the credentials. */
export class Entrance {
  readonly #gateway: Gateway;
  readonly #server: WebSocketServer;
  readonly #onRoom: (connection: Connection) => void;
  readonly #onLost: (connection: Connection) => void;
  /** Connections without credentials, and the timers that end them. */
  readonly #waiting = new Map<Connection, NodeJS.Timeout>();

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
    this.#onRoom = (connection) => gateway.catchUpAll(connection);
    this.#onLost = (connection) => gateway.end(connection, "slow_reader");
    const options: ServerOptions & { readonly closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      // A small frame gains nothing, and each connection's compressor would take more memory than all the rest of it.
      perMessageDeflate: false,
      maxPayload: limits.frameBytes,
      closeTimeout: closeWithinMs,
      handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
    };
    this.#server = new WebSocketServer(options);
  }

  /** Never throws: whatever is wrong is answered over HTTP or, once the WebSocket stands, by a close code. */
  async upgrade(handshake: Handshake): Promise<void> {
    const { request, socket, head, refuse } = handshake;
    const { admission, draining } = this.#gateway;
    if (draining) return refuse("draining", { retryAfterS: 1 });
    if (socket.destroyed) return;
    const address = addressKey(handshake.address);
    const retryAfterS = admission.knock(address);
    if (retryAfterS > 0) {
      return refuse("rate_limited", {
        detail: "too many connections are opened by this address",
        retryAfterS,
      });
    }
    if (!admission.enterAddress(address)) {
      return refuse("rate_limited", { detail: "this address has too many connections", retryAfterS: 30 });
    }
    leaveOnClose(admission, socket, address);
    // Until the WebSocket stands nobody else listens, and a reset must not end the process.
    socket.on("error", ignore);
    const found = await this.#actorOf(handshake);
    if (socket.destroyed) return;
    // The answer to the handshake and the greeting go out in one write.
    socket.cork();
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      socket.off("error", ignore);
      this.#greetOrRefuse(this.#begin(ws, handshake), found);
    });
    socket.uncork();
  }

  /** Takes what an `auth` frame shows: the first credentials of a connection, or newer ones of the same actor. */
  async authenticate(connection: Connection, token: string, id: number | undefined): Promise<void> {
    const { access, config } = this.#gateway.deps;
    const { address, place } = connection;
    let actor: Actor;
    try {
      actor = await signIn(access, token, { host: config.host, address, ...place });
    } catch (error) {
      if (connection.phase !== "waiting") throw error;
      return this.#turnAway(connection, asRefusal(error));
    }
    if (connection.phase === "closed") return;
    if (connection.phase === "waiting") return this.#welcome(connection, actor, token);
    if (connection.actor === undefined || actorName(actor) !== actorName(connection.actor)) {
      throw new AppError("forbidden", { detail: "the token is somebody else's: open another connection" });
    }
    const before = connection.actor;
    connection.actor = actor;
    connection.toldExpiry = false;
    if (mayLess(actor, before)) await this.#authorizeAgain(connection, actor);
    if (connection.phase !== "open") return;
    const expiresAtMs = actor.kind === "user" ? actor.expiresAt : undefined;
    if (expiresAtMs === undefined || !connection.native) return;
    const expires_at = new Date(expiresAtMs).toISOString();
    connection.write(frameOf({ type: "renewed", ...(id === undefined ? {} : { id }), expires_at }));
  }

  /** Nothing goes on that could not be asked for anew; where that cannot be found out, the connection does not either. */
  async #authorizeAgain(connection: Connection, actor: Actor): Promise<void> {
    const gateway = this.#gateway;
    try {
      await authorizeAgain(gateway.subscribing, connection, actor);
    } catch (error) {
      gateway.end(
        connection,
        gateway.subscribing.asRefusal(error).code === "internal" ? "internal" : "unavailable",
      );
    }
  }

  /** Who knocks: an actor, a refusal, or nobody yet. */
  async #actorOf({ request, address, place }: Handshake): Promise<Found> {
    const { access, config } = this.#gateway.deps;
    try {
      // Browsers can only put it into the URL.
      const credential = credentialOf(request.headers, parametersOf(request).getAll("token"));
      if (credential === undefined) return undefined;
      const actor = await signIn(access, credential, { host: config.host, address, ...place });
      return { actor, credential };
    } catch (error) {
      return { refusal: asRefusal(error) };
    }
  }

  #begin(ws: WebSocket, { request, socket, address, place }: Handshake): Connection {
    const gateway = this.#gateway;
    const native = ws.protocol === subprotocol;
    const parameters = parametersOf(request);
    const plain = native ? undefined : gateway.plainOf(parameters);
    const connection = new Connection({
      link: new WebSocketLink(ws, socket),
      address,
      place,
      native,
      encoding: plain?.encoding ?? nativeFrames,
      frameTokens: gateway.deps.config.rateFrames.burst,
      onRoom: this.#onRoom,
      onLost: this.#onLost,
    });
    if (plain !== undefined) connection.plain = { form: plain.form, parameters };
    this.#listen(ws, connection);
    return connection;
  }

  #listen(ws: WebSocket, connection: Connection): void {
    ws.on("message", (data, isBinary) => this.#receive(connection, data, isBinary));
    ws.on("pong", () => {
      connection.heard = true;
      this.#gateway.dispatch.control(connection);
    });
    ws.on("ping", () => this.#gateway.dispatch.control(connection));
    ws.on("close", () => this.#gateway.forget(connection));
    // What the client did wrong (a bad frame, a reset) has closed the connection already.
    ws.on("error", ignore);
  }

  #greetOrRefuse(connection: Connection, found: Found): void {
    const gateway = this.#gateway;
    if (gateway.draining) gateway.end(connection, "draining");
    else if (found === undefined) this.#awaitCredentials(connection);
    else if ("refusal" in found) this.#turnAway(connection, found.refusal);
    else void this.#welcome(connection, found.actor, found.credential);
  }

  #receive(connection: Connection, data: RawData, isBinary: boolean): void {
    connection.heard = true;
    if (connection.phase === "closed") return;
    if (isBinary) {
      this.#gateway.forget(connection);
      return connection.closeWith(1003, "Frames are text");
    }
    // One buffer, as `ws` gives messages unless it is told otherwise.
    this.#gateway.dispatch.receive(connection, (data as Buffer).toString());
  }

  /** Sends away whoever has not said yet who they are. */
  close(): void {
    for (const connection of this.#waiting.keys()) this.#gateway.end(connection, "draining");
  }

  /** A connection is over, or somebody's: nobody waits for its credentials any more. */
  settle(connection: Connection): void {
    clearTimeout(this.#waiting.get(connection));
    this.#waiting.delete(connection);
  }

  #awaitCredentials(connection: Connection): void {
    const timer = setTimeout(() => this.#gateway.end(connection, "auth_timeout"), authWithinMs);
    this.#waiting.set(connection, timer);
  }

  async #welcome(connection: Connection, actor: Actor, credential: string): Promise<void> {
    const gateway = this.#gateway;
    if (actor.kind === "key") connection.apiKey = credential;
    try {
      if (!gateway.open(connection, actor)) return;
      if (connection.native) return this.#greet(connection, actor);
      await beginPlain(gateway, connection, actor);
    } catch (error) {
      const refusal = asRefusal(error);
      if (refusal.code === "internal")
        gateway.deps.log.error({ err: error }, "a connection could not be opened");
      this.#turnAway(connection, refusal);
    }
  }

  #greet(connection: Connection, actor: Actor): void {
    const { clock } = this.#gateway.deps;
    const person = actor.kind === "user" ? actor : undefined;
    connection.write(
      frameOf({
        type: "hello",
        protocol: protocolVersion,
        connection_id: connection.id,
        ...(person === undefined ? {} : { user_id: person.id, username: person.username }),
        server_time: new Date(clock.now()).toISOString(),
        ...(person === undefined ? {} : { expires_at: new Date(person.expiresAt).toISOString() }),
        heartbeat_ms: heartbeatMs,
        limits: this.#gateway.dispatch.limits(),
      }),
    );
  }

  /** The code says what a program is to do; what is wrong with this very request, the text says to its author. */
  #turnAway(connection: Connection, { code, details }: AppError): void {
    const reason =
      code === "unavailable" || code === "overloaded" || code === "forbidden" || code === "rate_limited"
        ? code
        : code === "internal"
          ? "internal"
          : "unauthorized";
    this.#gateway.end(connection, reason, reason === "internal" ? undefined : details.detail);
  }
}

type Found =
  | { readonly actor: Actor; readonly credential: string }
  | { readonly refusal: AppError }
  | undefined;

function parametersOf({ url = "" }: Handshake["request"]): URLSearchParams {
  const query = url.indexOf("?");
  return new URLSearchParams(query === -1 ? "" : url.slice(query));
}

/** Whether there may be something that the actor might do before and may not any more. */
function mayLess(now: Actor, before: Actor): boolean {
  const isSameRole = now.kind !== "user" || before.kind !== "user" || now.role === before.role;
  return !isSameRole || !before.scopes.isSubsetOf(now.scopes);
}

/** In a function of its own: a closure made beside the handshake would keep all of it as long as the connection. */
function leaveOnClose(admission: Admission, socket: Socket, address: string): void {
  socket.once("close", () => admission.leaveAddress(address));
}

function ignore(): void {
  // Nothing to do: see where it is used.
}
