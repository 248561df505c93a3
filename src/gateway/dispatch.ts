import type { ClientFrame, SocketLimits } from "../../protocol/frames.ts";
import type { CloseReason } from "../../protocol/close-codes.ts";
import { limits } from "../../protocol/limits.ts";
import type { Actor } from "../access/actor.ts";
import { type PersonRate, personLimited } from "../access/person-rate.ts";
import type { PlainForm, SocketMethod } from "../deps.ts";
import { pause } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { type Check, createCheck } from "../schema/check.ts";
import { sentenceOf } from "../schema/faults.ts";
import type { Signal } from "./signals.ts";
import type { BucketRate } from "../lib/token-bucket.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import type { Connection } from "./connection.ts";
import { textFrame } from "./frame-bytes.ts";
import { frameError, frameOf } from "./frames.ts";
import { readFrame } from "./incoming.ts";
import { asRefusal } from "./refusals.ts";
import { type SubscribingDeps, subscribe } from "./subscribing.ts";

/** Frames that cannot be understood, after which a client is told to stop. */
export const badFramesMax = 20;
/** Frames of a plain connection that wait for their turn; while any does, no more are read than have come already. */
export const plainFramesMax = 4_096;
/** How soon it is seen that a connection has gone whose frames wait, milliseconds. */
const lookAgainMs = 1_000;
/** Topics of one frame that count as one frame more: each of them costs a look at who may read it. */
export const topicsPerToken = 20;
/** Frames beyond its rate that a client may send and be told so, before it is sent away: as many as its burst again. */
const debtFactor = 1;

export type DispatchDeps = {
  readonly subscribing: SubscribingDeps;
  readonly clock: Clock;
  readonly log: Logger;
  readonly methods: readonly SocketMethod[];
  readonly plain: readonly PlainForm[];
  /** What is true of a topic at this moment, if anything is. */
  readonly signalOf: (topic: string) => Signal | undefined;
  readonly frameRate: BucketRate;
  readonly personRate: PersonRate;
  /** Takes the credentials of a connection's `auth` frame. Rejects when they are not good. */
  readonly authenticate: (connection: Connection, token: string, id: number | undefined) => Promise<void>;
  readonly end: (connection: Connection, reason: CloseReason) => void;
};

type Method = SocketMethod & { readonly check: Check };

/** What a client asks for: frames in, answers out. */
export class Dispatch {
  readonly #deps: DispatchDeps;
  readonly #methods: ReadonlyMap<string, Method>;

  constructor(deps: DispatchDeps) {
    this.#deps = deps;
    this.#methods = new Map(
      deps.methods.map((method): [string, Method] => [
        method.name,
        { ...method, check: createCheck(method.params) },
      ]),
    );
  }

  readonly #isPlain = (frame: Readonly<Record<string, unknown>>): boolean =>
    this.#deps.plain.some((form) => form.accepts(frame));

  limits(): SocketLimits {
    const { perSecond, burst } = this.#deps.frameRate;
    return {
      frame_bytes: limits.frameBytes,
      topics: limits.topicsPerConnection,
      topics_per_frame: limits.topicsPerFrame,
      requests_in_flight: limits.requestsInFlight,
      frames_per_second: perSecond,
      frames_burst: burst,
    };
  }

  /** A text message has come. Never throws; whatever goes wrong is answered or closes the connection. */
  receive(connection: Connection, text: string): void {
    if (connection.full) connection.lag();
    const early = connection.form === undefined ? undefined : readFrame(text, this.#isPlain);
    if (early?.kind === "plain") return this.#line(connection, early.frame);
    const verdict = this.#spend(connection);
    if (verdict === "hopeless") return this.#deps.end(connection, "rate_limited");
    const incoming = early ?? readFrame(text, this.#isPlain);
    if (incoming.kind === "bad") {
      if (++connection.badFrames > badFramesMax) return this.#deps.end(connection, "protocol_error");
      return this.#refuse(connection, incoming.id, incoming.error);
    }
    const id = incoming.kind === "frame" && "id" in incoming.frame ? incoming.frame.id : undefined;
    if (verdict === "late") {
      const { perSecond } = this.#deps.frameRate;
      return this.#refuse(
        connection,
        id,
        new AppError("rate_limited", {
          detail: `more than ${perSecond} frames per second`,
          retryAfterS: Math.max(1, Math.ceil((1 - connection.frameTokens) / perSecond)),
        }),
      );
    }
    if (incoming.kind === "frame" && incoming.frame.type === "ping") {
      const server_time = new Date(this.#deps.clock.now()).toISOString();
      return connection.write(frameOf({ type: "pong", server_time }));
    }
    if (incoming.kind === "frame")
      connection.frameTokens -= Math.floor(topicsIn(incoming.frame) / topicsPerToken);
    if (connection.inFlight >= limits.requestsInFlight) {
      return this.#refuse(
        connection,
        id,
        new AppError("overloaded", { detail: "too many requests wait for their answer", retryAfterS: 1 }),
      );
    }
    connection.inFlight++;
    void this.#handle(connection, id, incoming).finally(() => {
      connection.inFlight--;
    });
  }

  async #handle(
    connection: Connection,
    id: number | undefined,
    incoming: Exclude<ReturnType<typeof readFrame>, { kind: "bad" }>,
  ): Promise<void> {
    try {
      if (incoming.kind === "frame" && incoming.frame.type === "auth") {
        return await this.#deps.authenticate(connection, incoming.frame.token, id);
      }
      const { actor } = connection;
      if (actor === undefined || connection.phase !== "open") {
        throw new AppError("unauthorized", { detail: "send a frame auth with a token first" });
      }
      if (actor.kind === "user" && actor.expiresAt <= this.#deps.clock.now()) {
        return this.#deps.end(connection, "token_expired");
      }
      if (incoming.kind === "plain") await this.#plain(connection, actor, incoming.frame);
      else await this.#frame(connection, actor, incoming.frame);
    } catch (error) {
      const refusal = asRefusal(error);
      if (refusal.code === "internal") {
        this.#deps.log.error({ err: error, connection: connection.id }, "a frame could not be handled");
      }
      this.#refuse(connection, id, refusal);
    }
  }

  /**
   * A frame of a connection that speaks a seed's form. The seeds know no refusal for now, and their clients ask nothing
   * twice: so their frames wait for their turn, and the client with them, instead of being refused.
   */
  #line(connection: Connection, frame: Readonly<Record<string, unknown>>): void {
    const { waiting } = connection;
    if (waiting.length >= plainFramesMax) return this.#deps.end(connection, "rate_limited");
    waiting.push(frame);
    if (waiting.length === 1) void this.#serveInTurn(connection);
  }

  async #serveInTurn(connection: Connection): Promise<void> {
    const { waiting, beginning } = connection;
    // What it is told first may take a slow client long, and as long it must be read from, to be known to live.
    if (beginning !== undefined) await beginning;
    connection.hold(true);
    while (connection.phase === "open") {
      const [frame] = waiting;
      if (frame === undefined) break;
      // It lives as long as it is served, though nothing new of it is read.
      connection.heard = true;
      const lateMs = this.#turn(connection);
      if (lateMs > 0) await pause(Math.min(lateMs, lookAgainMs));
      else {
        await this.#handle(connection, undefined, { kind: "plain", frame });
        waiting.shift();
      }
    }
    connection.hold(false);
  }

  /** Milliseconds until the connection, and the person, may be served one frame more; 0 counts it. */
  #turn(connection: Connection): number {
    const { perSecond } = this.#deps.frameRate;
    if (this.#refill(connection) < 1) return Math.ceil(((1 - connection.frameTokens) * 1_000) / perSecond);
    const taken = connection.actor === undefined ? undefined : this.#deps.personRate.take(connection.actor);
    if (taken?.allowed === false) return Math.max(1, taken.retryAfterS * 1_000);
    connection.frameTokens--;
    return 0;
  }

  async #frame(connection: Connection, actor: Actor, frame: ClientFrame): Promise<void> {
    switch (frame.type) {
      case "subscribe":
        return this.#subscribe(
          connection,
          actor,
          frame.id,
          new Map(frame.topics.map((topic) => [topic, undefined])),
        );
      case "resume":
        return this.#subscribe(connection, actor, frame.id, new Map(Object.entries(frame.positions)));
      case "unsubscribe":
        return this.#unsubscribe(connection, frame.id, frame.topics);
      case "request": {
        this.#countPerson(actor);
        const method = this.#methods.get(frame.name);
        if (method === undefined)
          throw new AppError("not_found", { detail: `there is no request "${frame.name.slice(0, 40)}"` });
        const fields = method.check(frame.params);
        if (fields !== undefined) {
          const [first] = fields;
          const detail = first === undefined ? "does not fit the schema" : sentenceOf(first, "params");
          throw new AppError("invalid_body", { detail, fields });
        }
        const { params } = frame;
        const call = { actor, params, ip: connection.address, requestId: uuidv7() };
        const data = await method.handler(call);
        return connection.write(frameOf({ type: "answer", id: frame.id, data }));
      }
      case "auth":
      case "ping":
        return;
    }
  }

  async #plain(
    connection: Connection,
    actor: Actor,
    frame: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const form = this.#deps.plain.find((one) => one.accepts(frame));
    if (form === undefined) throw new AppError("invalid_body", { detail: "a frame needs a type" });
    const isHeard = connection.form === form;
    // Those that wait for their turn are counted with it.
    if (connection.form === undefined) this.#countPerson(actor);
    const call = { actor, params: frame, ip: connection.address, requestId: uuidv7(), isHeard };
    const answer = await form.handle(call);
    if (answer !== undefined) connection.write(textFrame(JSON.stringify(answer)));
  }

  /** What a person asks for counts whatever way it comes, for all connections together. */
  #countPerson(actor: Actor): void {
    const taken = this.#deps.personRate.take(actor);
    if (taken?.allowed === false) throw personLimited(taken);
  }

  async #subscribe(
    connection: Connection,
    actor: Actor,
    id: number,
    wanted: ReadonlyMap<string, string | undefined>,
  ): Promise<void> {
    await subscribe(this.#deps.subscribing, connection, { actor, wanted }, ({ topics, refused }) => {
      connection.write(frameOf({ type: "subscribed", id, topics, refused }));
      for (const topic of Object.keys(topics)) {
        const signal = this.#deps.signalOf(topic);
        if (signal !== undefined) connection.write(frameOf({ type: "signal", ...signal }));
      }
    });
  }

  #unsubscribe(connection: Connection, id: number, topics: readonly string[]): void {
    const { subscriptions } = connection;
    const left: string[] = [];
    for (const topic of topics) {
      const subscription = subscriptions.get(topic);
      if (subscription === undefined) continue;
      this.#deps.subscribing.hub.leave(subscription);
      subscriptions.delete(topic);
      left.push(topic);
    }
    connection.write(frameOf({ type: "unsubscribed", id, topics: left }));
  }

  #refuse(connection: Connection, id: number | undefined, error: AppError): void {
    connection.write(
      frameOf({ type: "error", ...(id === undefined ? {} : { id }), error: frameError(error) }),
    );
  }

  /** A ping or pong has come: nothing is to be done, but a flood of them costs as much as one of frames. */
  control(connection: Connection): void {
    if (connection.phase === "closed") return;
    if (this.#spend(connection) === "hopeless") this.#deps.end(connection, "rate_limited");
  }

  /** Tokens that the connection has by now. */
  #refill(connection: Connection): number {
    const { perSecond, burst } = this.#deps.frameRate;
    const nowMs = performance.now();
    const gained = ((nowMs - connection.frameTokensAtMs) * perSecond) / 1_000;
    connection.frameTokens = Math.min(burst, connection.frameTokens + gained);
    connection.frameTokensAtMs = nowMs;
    return connection.frameTokens;
  }

  /** Takes a token for one frame. A client in debt is told; one that does not listen is hopeless. */
  #spend(connection: Connection): "fine" | "late" | "hopeless" {
    const { burst } = this.#deps.frameRate;
    connection.frameTokens = this.#refill(connection) - 1;
    if (connection.frameTokens >= 0) return "fine";
    return connection.frameTokens < -burst * debtFactor ? "hopeless" : "late";
  }
}

function topicsIn(frame: ClientFrame): number {
  if (frame.type === "subscribe" || frame.type === "unsubscribe") return frame.topics.length;
  return frame.type === "resume" ? Object.keys(frame.positions).length : 0;
}
