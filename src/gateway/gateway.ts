import { type SessionEndedData, sessionEnded } from "../../protocol/accounts.ts";
import type { CloseReason } from "../../protocol/close-codes.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { type Actor, actorName } from "../access/actor.ts";
import type { Deps, Module, PlainForm } from "../deps.ts";
import { type Entry, parseData, redactedData } from "../eventlog/eventlog.ts";
import type { Signal } from "./signals.ts";
import { pause } from "../lib/backoff.ts";
import { Admission, type AdmissionRules } from "./admission.ts";
import { CatchUp, missedEntriesMax, pastBytesMax } from "./catch-up.ts";
import type { Connection } from "./connection.ts";
import { Dispatch } from "./dispatch.ts";
import { plainEncoding } from "./encodings.ts";
import { frameOf } from "./frames.ts";
import { Entrance } from "./entrance.ts";
import { Hub, kindOf } from "./hub.ts";
import { createHeadsLook } from "./heads-look.ts";
import { Keeper } from "./keeper.ts";
import { Past } from "./past.ts";
import { Presence, presenceTopics } from "./presence.ts";
import { Probe, probeType } from "./probe.ts";
import type { Encoding } from "./reader.ts";
import type { RingBounds } from "./ring.ts";
import { SignalBoard } from "./signal-board.ts";
import type { SubscribingDeps } from "./subscribing.ts";
import { Tail } from "./tail.ts";
import { authorizeTopic, mergeKinds } from "./topic-kinds.ts";
import { asRefusal } from "./refusals.ts";

export type GatewayDeps = Pick<
  Deps,
  "access" | "clock" | "config" | "eventlog" | "log" | "metrics" | "personRate" | "signals"
>;

/** Entries and bytes that each partition's ring holds: some seconds of a busy partition. */
const ringBounds: RingBounds = { entriesMax: 8_192, bytesMax: 4 * 1_048_576 };
/** Bytes of the past that one reader is sent for one topic. */
const topicBytesMax = 1_048_576;
/** In how long all connections are closed when the server goes, milliseconds. */
export const drainMs = 3_000;
const drainStepMs = 50;

/** Who is connected, what they read, and the log that they read it from. Connections come in through `entrance.ts`. */
export class Gateway {
  readonly deps: GatewayDeps;
  readonly admission: Admission;
  readonly dispatch: Dispatch;
  readonly hub: Hub;
  readonly keeper: Keeper;
  readonly entrance: Entrance;
  readonly probe: Probe;
  readonly presence: Presence;
  readonly subscribing: SubscribingDeps;
  readonly catchUp: CatchUp;
  draining = false;
  #left: Promise<void> | undefined;
  readonly #forms: ReadonlyMap<PlainForm, Encoding>;
  readonly #tail: Tail;
  readonly #board: SignalBoard;
  readonly #unsubscribe: () => void;
  readonly #connections = new Set<Connection>();
  readonly #byUser = new Map<number, Set<Connection>>();

  private constructor(deps: GatewayDeps, modules: readonly Module[], from: readonly number[]) {
    const { access, clock, config, eventlog, log, metrics } = deps;
    this.deps = deps;
    const kinds = mergeKinds([{ topics: [presenceTopics] }, ...modules]);
    const onUntold = (error: unknown): void =>
      log.error({ err: error }, "an entry could not be told in its plain form");
    const forms = modules.flatMap(({ plain }) => (plain === undefined ? [] : [plain]));
    this.#forms = new Map(forms.map((form) => [form, plainEncoding(form, clock, onUntold)]));
    const generation = (): number => this.#tail.generation;
    this.hub = new Hub({
      generation,
      heads: from,
      ring: ringBounds,
      kinds,
      onEntry: (entry) => this.#see(entry),
      onFault: (error, { topic, type, id }) =>
        log.error(
          { err: error, topic, type, id },
          "an entry could not be pushed; its topic's readers begin anew",
        ),
      onFlush: (entries, readers) => metrics.gateway.deliveries.inc(entries * readers),
    });
    const past = new Past(
      { eventlog, log },
      { entriesMax: missedEntriesMax, bytesMax: topicBytesMax, scanBytesMax: pastBytesMax },
    );
    const onLimited = (): void => metrics.gateway.limited.inc();
    this.catchUp = new CatchUp({ hub: this.hub, past, generation, onLimited });
    this.subscribing = {
      hub: this.hub,
      catchUp: this.catchUp,
      generation,
      heads: createHeadsLook(eventlog),
      authorize: (actor, topic) => authorizeTopic(kinds, actor, topic),
      asRefusal: (error) => {
        const refusal = asRefusal(error);
        if (refusal.code === "internal") log.error({ err: error }, "a topic could not be subscribed to");
        return refusal;
      },
    };
    this.admission = new Admission(admissionRules(config), clock);
    this.keeper = new Keeper({ access, clock, end: (connection, reason) => this.end(connection, reason) });
    this.dispatch = new Dispatch({
      ...deps,
      subscribing: this.subscribing,
      methods: modules.flatMap(({ methods = [] }) => methods),
      plain: forms,
      signalOf: (topic) => this.#signalOf(topic),
      frameRate: config.rateFrames,
      authenticate: (connection, token, id) => this.entrance.authenticate(connection, token, id),
      end: (connection, reason) => this.end(connection, reason),
    });
    this.entrance = new Entrance(this);
    const onLost = (partition: number, head: number): void =>
      this.hub.lose(partition, head, (subscription) => this.catchUp.skip(subscription));
    this.#tail = new Tail({ eventlog, hub: this.hub, log, onLost }, from);
    const node = uuidv7();
    this.probe = new Probe(eventlog, log, node);
    this.#board = new SignalBoard((topic) => this.hub.channelsOf(topic));
    this.presence = new Presence({
      node,
      signals: deps.signals,
      post: (signal) => this.#board.post(signal),
    });
    this.#unsubscribe = deps.signals.onSignal((signal) => this.#board.post(signal));
  }

  /** Resolves when it has read up to the end of the log. */
  static async start(deps: GatewayDeps, modules: readonly Module[]): Promise<Gateway> {
    const gateway = new Gateway(deps, modules, await Tail.begin(deps.eventlog));
    await gateway.#tail.start();
    return gateway;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** A connection whose credentials are good: it is counted, kept alive and may ask. False when there is no place for it. */
  open(connection: Connection, actor: Actor): boolean {
    if (!this.admission.enterActor(actorName(actor))) {
      this.end(connection, "too_many_connections");
      return false;
    }
    connection.actor = actor;
    connection.phase = "open";
    this.entrance.settle(connection);
    this.#connections.add(connection);
    this.deps.metrics.gateway.connections.set(this.#connections.size);
    if (actor.kind === "user") {
      const own = this.#byUser.get(actor.id);
      if (own === undefined) {
        this.#byUser.set(actor.id, new Set([connection]));
        this.presence.arrived(actor.id);
      } else own.add(connection);
    }
    this.keeper.add(connection);
    return true;
  }

  /**
   * Takes a connection out of everything first and closes it then, so that nothing reaches it that is no longer its.
   * `detail`: what is wrong in this case, for a person to read.
   */
  end(connection: Connection, reason: CloseReason, detail?: string): void {
    if (connection.phase === "closed") return;
    this.forget(connection);
    this.deps.metrics.gateway.closed.inc({ reason });
    connection.close(reason, detail);
  }

  /** The connection is over, whoever has ended it. May be called again. */
  forget(connection: Connection): void {
    connection.leave();
    this.entrance.settle(connection);
    for (const subscription of connection.subscriptions.values()) {
      if (subscription.index !== -1) this.hub.leave(subscription);
    }
    connection.subscriptions.clear();
    if (!this.#connections.delete(connection)) return;
    this.deps.metrics.gateway.connections.set(this.#connections.size);
    this.keeper.remove(connection);
    const { actor } = connection;
    if (actor === undefined) return;
    this.admission.leaveActor(actorName(actor));
    if (actor.kind !== "user") return;
    const own = this.#byUser.get(actor.id);
    own?.delete(connection);
    if (own?.size !== 0) return;
    this.#byUser.delete(actor.id);
    this.presence.left(actor.id);
  }

  /** A connection that took nothing takes something again. */
  catchUpAll(connection: Connection): void {
    this.catchUp.runAll(connection, connection.subscriptions.values());
  }

  /** Tells everybody that the server goes, and closes them little by little: they must not all come back at once. */
  leave(): void {
    this.#left ??= this.#seeOff();
  }

  /** Resolves when everybody has been sent away and nothing is read any more. */
  async close(): Promise<void> {
    this.leave();
    await this.#left;
    this.entrance.close();
    for (const connection of this.#connections) this.end(connection, "draining");
    this.#unsubscribe();
    this.presence.stop();
    this.#board.stop();
    this.probe.stop();
    this.keeper.stop();
    await this.#tail.stop();
  }

  async #seeOff(): Promise<void> {
    this.draining = true;
    const bytes = frameOf({ type: "server.draining", close_within_ms: drainMs });
    const all = [...this.#connections];
    for (const connection of all) if (connection.native) connection.write(bytes);
    const perStep = Math.ceil(all.length / (drainMs / drainStepMs));
    while (all.length > 0) {
      for (const connection of all.splice(0, perStep)) this.end(connection, "draining");
      if (all.length > 0) await pause(drainStepMs);
    }
  }

  /** How often it was in doubt whether what the log has shown is still in it. */
  get doubts(): number {
    return this.#tail.doubts;
  }

  /** Resolves when the log has been read so far, by partition; rejects when that takes too long. */
  reach(heads: ReadonlyMap<number, number>): Promise<void> {
    return this.#tail.reach(heads);
  }

  /** The seed's form that a connection's URL asks for, and how it is encoded. */
  plainOf(parameters: URLSearchParams): { readonly form: PlainForm; readonly encoding: Encoding } {
    const all = [...this.#forms];
    const found =
      all.find(([{ isAskedFor }]) => isAskedFor?.(parameters) === true) ??
      all.find(([{ isAskedFor }]) => isAskedFor === undefined);
    if (found === undefined) throw new Error("no module has a form for everybody");
    const [form, encoding] = found;
    return { form, encoding };
  }

  /** What is true of a topic at this moment, for those who begin to read it. */
  #signalOf(topic: string): Signal | undefined {
    return kindOf(topic) === presenceTopics.kind
      ? this.presence.signalOf(Number(topic.slice(presenceTopics.kind.length + 1)))
      : undefined;
  }

  #see(entry: Entry): void {
    if (entry.type === probeType) return this.probe.see(entry);
    if (entry.type !== sessionEnded || entry.data === redactedData) return;
    const { session_id } = parseData<SessionEndedData>(entry);
    const userId = Number(entry.topic.slice("user/".length));
    const { endedSessions, identities } = this.deps.access;
    endedSessions.ended(userId, session_id, entry.time);
    // Tokens of other issuers are of no session: what such a person may is looked up again, before they come back.
    if (session_id === undefined) identities.forget(userId);
    const own = this.#byUser.get(userId);
    for (const connection of own ?? []) {
      if (session_id === undefined || connection.sessionId === session_id) {
        this.end(connection, "session_ended");
      }
    }
  }
}

function admissionRules(config: Deps["config"]): AdmissionRules {
  return {
    perAddressMax: config.connectionsPerAddress,
    perActorMax: config.connectionsPerUser,
    handshakes: config.rateConnect,
  };
}
