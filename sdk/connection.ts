import type {
  ClientFrame,
  HelloFrame,
  ServerFrame,
  protocolVersion,
  subprotocol,
} from "../protocol/frames.ts";
import { closeRules } from "../protocol/close-codes.ts";
import type { Clock } from "./clock.ts";
import { initialState, step } from "./connection-machine.ts";
import {
  type ClosedReason,
  type ConnectionEvent,
  type ConnectionState,
  type Effect,
  type StateName,
  type TimerName,
  timerNames,
} from "./connection-states.ts";
import { isLinked } from "./connection-steps.ts";
import { asTidingsError, needsSignIn } from "./errors.ts";
import type { Network } from "./network.ts";
import { type Observable, type OnError, type Source, createSource } from "./observable.ts";
import type { Tokens } from "./tokens.ts";
import { Socket, type SocketLike } from "./socket.ts";

// Types of these constants are their values, so that the compiler sees when the protocol has moved on; the file they
// stand in needs a package that a browser should not load.
const spokenProtocol: typeof subprotocol = "tidings.v1";
const spokenVersion: typeof protocolVersion = 1;

/** Id of every `auth` frame; requests begin at 1. */
const authId = 0;
/** No timer is set for longer: beyond 2^31 ms they would fire at once. */
const timerMsMax = 86_400_000;

/** The connection as an application sees it. */
export type ConnectionView = {
  readonly state: StateName;
  /** What the network was last said to be. */
  readonly online: boolean;
  /** Attempts in a row after which no connection has lasted. */
  readonly attempt: number;
  /** When the next attempt is, unix milliseconds. */
  readonly retryAt?: number;
  /** Why it is closed. */
  readonly reason?: ClosedReason;
  /** The close code, when the server said not to come back. */
  readonly code?: number;
  readonly connectionId?: string;
  readonly userId?: number;
};

export type ConnectionDeps = {
  readonly url: string;
  readonly tokens: Tokens;
  readonly makeSocket: (url: string, protocols: string[]) => SocketLike;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onError: OnError;
};

export type ConnectionListeners = {
  readonly opened: (hello: HelloFrame) => void;
  /** Every frame that is not about the connection itself. */
  readonly frame: (frame: ServerFrame) => void;
  readonly lost: () => void;
};

/** Does what the machine says: the one socket, the timers, the tokens. */
export class Connection {
  readonly view: Observable<ConnectionView>;
  readonly #deps: ConnectionDeps;
  readonly #listeners: ConnectionListeners;
  readonly #view: Source<ConnectionView>;
  readonly #armed = new Map<TimerName, { readonly due: number; readonly timer: unknown }>();
  readonly #events: ConnectionEvent[] = [];
  #state: ConnectionState = initialState;
  #working = false;
  #socket: Socket | undefined;
  #hello: HelloFrame | undefined;
  #token: string | undefined;
  /** Answers to an older question count no more. */
  #asked = 0;
  #leaveNetwork: (() => void) | undefined;

  constructor(deps: ConnectionDeps, listeners: ConnectionListeners) {
    this.#deps = deps;
    this.#listeners = listeners;
    this.#view = createSource(viewOf(initialState, undefined), deps.onError);
    this.view = this.#view;
  }

  start(): void {
    this.#leaveNetwork ??= this.#deps.network.subscribe((online) => {
      this.#dispatch({ type: online ? "online" : "offline" });
    });
    this.#dispatch({ type: "start" });
  }

  stop(): void {
    this.#leaveNetwork?.();
    this.#leaveNetwork = undefined;
    this.#dispatch({ type: "stop" });
  }

  /** Sends a frame. Of use between `opened` and `lost`; what is sent at other times is gone. */
  send(text: string): void {
    this.#socket?.send(text);
  }

  #sendFrame(frame: ClientFrame): void {
    this.send(JSON.stringify(frame));
  }

  /** One event after the other, also when an effect causes the next. */
  #dispatch(event: ConnectionEvent): void {
    this.#events.push(event);
    if (this.#working) return;
    this.#working = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const at = { now: this.#deps.clock.now(), random: this.#deps.random() };
        const [state, effects] = step(this.#state, next, at);
        this.#state = state;
        this.#arm(state);
        for (const effect of effects) this.#do(effect);
        if (next.type !== "heard") this.#show();
      }
    } finally {
      this.#working = false;
    }
  }

  #arm({ timers }: ConnectionState): void {
    for (const name of timerNames) {
      const due = timers[name];
      const armed = this.#armed.get(name);
      if (armed?.due === due) continue;
      if (armed !== undefined) this.#deps.clock.clearTimeout(armed.timer);
      if (due === undefined) this.#armed.delete(name);
      else this.#setTimer(name, due);
    }
  }

  #setTimer(name: TimerName, due: number): void {
    const { clock } = this.#deps;
    const ring = (): void => {
      // Far ahead, it takes more than one timer; and one may ring a little early.
      if (clock.now() < due) this.#setTimer(name, due);
      else this.#dispatch({ type: `timer_${name}` });
    };
    const ms = Math.min(timerMsMax, Math.max(0, due - clock.now()));
    this.#armed.set(name, { due, timer: clock.setTimeout(ring, ms) });
  }

  #do(effect: Effect): void {
    switch (effect.do) {
      case "fetch_token":
        return void this.#fetchToken(effect.fresh);
      case "open_socket":
        return this.#openSocket();
      case "close_socket":
        this.#socket?.close(effect.code);
        this.#socket = undefined;
        return;
      case "send_auth":
        return this.#sendFrame({ type: "auth", id: authId, token: this.#token ?? "" });
      case "send_ping":
        return this.#sendFrame({ type: "ping" });
      case "opened":
        if (this.#hello !== undefined) this.#listeners.opened(this.#hello);
        return;
      case "lost":
        return this.#listeners.lost();
    }
  }

  async #fetchToken(fresh: boolean): Promise<void> {
    const question = ++this.#asked;
    const event = await this.#deps.tokens.token(fresh ? this.#token : undefined).then(
      (token): ConnectionEvent => {
        if (question === this.#asked) this.#token = token;
        return { type: "token_ready" };
      },
      (reason: unknown): ConnectionEvent => {
        const error = asTidingsError(reason);
        return needsSignIn(error) ? { type: "token_refused" } : { type: "token_failed", error };
      },
    );
    if (question === this.#asked) this.#dispatch(event);
  }

  #openSocket(): void {
    const { url, makeSocket } = this.#deps;
    this.#socket = new Socket(() => makeSocket(url, [spokenProtocol]), {
      opened: () => this.#dispatch({ type: "socket_opened" }),
      message: (text) => this.#receive(text),
      closed: (code) => {
        this.#socket = undefined;
        this.#dispatch({ type: "socket_closed", code });
      },
    });
  }

  #receive(text: string): void {
    const frame = parseFrame(text);
    this.#dispatch({ type: "heard" });
    if (frame === undefined) return;
    switch (frame.type) {
      case "hello":
        return this.#welcome(frame);
      case "renewed":
        return this.#dispatch({ type: "renewed", expiresAt: Date.parse(frame.expires_at) });
      case "token.expiring":
        return this.#dispatch({ type: "expiring" });
      case "server.draining":
        return this.#dispatch({ type: "server_draining", closeWithinMs: frame.close_within_ms });
      case "error":
        if (frame.id === authId) return this.#dispatch({ type: "auth_refused", error: frame.error });
        break;
      case "subscribed":
      case "unsubscribed":
      case "answer":
      case "entry":
      case "signal":
      case "limited":
      case "removed":
      case "positions":
      case "pong":
        break;
    }
    // A newer server may send kinds of frames that are not in the list: whoever does not know them passes them over.
    if (isLinked(this.#state)) this.#listeners.frame(frame);
  }

  #welcome(hello: HelloFrame): void {
    if (hello.protocol !== spokenVersion) {
      const { code } = closeRules.protocol_error;
      this.#socket?.close(code);
      this.#socket = undefined;
      return this.#dispatch({ type: "socket_closed", code });
    }
    this.#hello = hello;
    this.#dispatch({
      type: "hello",
      heartbeatMs: hello.heartbeat_ms,
      serverTime: Date.parse(hello.server_time),
      expiresAt: hello.expires_at === undefined ? undefined : Date.parse(hello.expires_at),
    });
  }

  #show(): void {
    const view = viewOf(this.#state, this.#hello);
    if (JSON.stringify(view) !== JSON.stringify(this.#view.get())) this.#view.set(view);
  }
}

function viewOf(state: ConnectionState, hello: HelloFrame | undefined): ConnectionView {
  const { name, timers } = state;
  if (state.name === "idle") return { state: name, online: true, attempt: 0 };
  if (state.name === "closed") {
    const { reason, code } = state;
    return { state: name, online: true, attempt: 0, reason, ...(code === undefined ? {} : { code }) };
  }
  const { online, attempt } = state;
  const retry = timers.retry === undefined ? {} : { retryAt: timers.retry };
  if (!isLinked(state) || hello === undefined) return { state: name, online, attempt, ...retry };
  const user = hello.user_id === undefined ? {} : { userId: hello.user_id };
  return { state: name, online, attempt, connectionId: hello.connection_id, ...user };
}

/** Undefined for what is no frame of any version. */
function parseFrame(text: string): ServerFrame | undefined {
  try {
    const value = JSON.parse(text) as ServerFrame | null;
    return typeof value === "object" && value !== null && typeof value.type === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
