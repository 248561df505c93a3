import type {
  EntryFrame,
  HelloFrame,
  ServerFrame,
  SignalFrame,
  SocketLimits,
  SubscribedTopic,
} from "../protocol/frames.ts";
import { limits } from "../protocol/limits.ts";
import { backoffMs, repeatBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { type TidingsError, clientError, frameError } from "./errors.ts";
import { type OnError, callSafely } from "./observable.ts";
import { RecentIds } from "./recent-ids.ts";
import type { Outcome, Question, Reply, Requests } from "./requests.ts";
import { chunksOf, resume, subscribeTo } from "./topic-frames.ts";

/** An entry as a subscriber gets it. What its data holds is said by its type (`protocol/chat.ts` and others). */
export type PushedEntry = EntryFrame["entry"] & { readonly topic: string; readonly position: string };
export type PushedSignal = Omit<SignalFrame, "type">;

export type TopicHandlers = {
  /** Every entry once, in the order of the topic. */
  readonly entry?: (entry: PushedEntry) => void;
  /** What is true for a moment only. Signals may be lost. */
  readonly signal?: (signal: PushedSignal) => void;
  /** From now on every entry comes; said after the first connection and after each other one. */
  readonly live?: () => void;
  /** Entries were missed that will not come: read the state anew. Those from now on do come. */
  readonly limited?: () => void;
  /** The topic may not be read any more: the subscription is over. */
  readonly removed?: () => void;
  /** The topic may not be read: the subscription is over. */
  readonly refused?: (error: TidingsError) => void;
};

/** Subscriptions of a client. */
export const topicsMax = limits.topicsPerConnection;
/** Entries of a topic whose ids are remembered, to pass each on once. */
export const idsRememberedMax = 128;

/**
 * idle     nothing is agreed with the server: there is no connection, or it has not been asked yet
 * asked    a frame is on its way
 * live     entries come
 * leaving  nobody listens any more, and the server has been told
 * staying  it was told and could not be obeyed: it is told again, whoever listens by then. What came since was not
 *          passed on, so that nobody can go on from there
 *
 * At most one frame of a topic is unanswered, so that answers need no order.
 */
type Phase = "idle" | "asked" | "live" | "leaving" | "staying";

type TopicRecord = {
  readonly topic: string;
  /** One for each `subscribe`, also when two give the same handlers. */
  readonly listeners: Set<{ readonly handlers: TopicHandlers }>;
  readonly seen: RecentIds;
  phase: Phase;
  /** The last place up to which everything was passed on; undefined before the first answer. */
  position: string | undefined;
  /** Refusals in a row that were meant for a while only, and until when it is left alone. */
  refusals: number;
  notBefore: number;
};

export type TopicsDeps = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly onError: OnError;
  readonly requests: Pick<Requests, "ask">;
};

/** Which topics are subscribed to, how far each was read, and who is told. Outlives connections. */
export class Topics {
  readonly #deps: TopicsDeps;
  readonly #records = new Map<string, TopicRecord>();
  #limits: SocketLimits | undefined;
  #scheduled = false;
  #timer: unknown;

  constructor(deps: TopicsDeps) {
    this.#deps = deps;
  }

  /** Throws `TidingsError` `too_many_topics`. Returns the function that ends it. */
  subscribe(topic: string, handlers: TopicHandlers): () => void {
    const record = this.#records.get(topic) ?? this.#add(topic);
    const listener = { handlers };
    record.listeners.add(listener);
    if (record.phase === "live") {
      queueMicrotask(() => {
        if (record.phase !== "live" || !record.listeners.has(listener)) return;
        callSafely(this.#deps.onError, () => handlers.live?.());
      });
    }
    this.#schedule();
    return () => {
      record.listeners.delete(listener);
      if (record.listeners.size === 0) this.#schedule();
    };
  }

  opened({ limits }: HelloFrame): void {
    this.#limits = limits;
    for (const record of this.#records.values()) record.notBefore = 0;
    this.#flush();
  }

  lost(): void {
    this.#limits = undefined;
    if (this.#timer !== undefined) this.#deps.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const record of this.#records.values()) {
      if (record.phase === "leaving" || record.phase === "staying") this.#left(record);
      else record.phase = "idle";
    }
  }

  /** Takes a frame about a topic; others mean nothing here. */
  take(frame: ServerFrame): void {
    if (frame.type === "entry") this.#entry(frame);
    else if (frame.type === "signal") {
      const { topic, name, key, data } = frame;
      this.#tell(this.#live(topic), ({ signal }) => signal?.({ topic, name, key, data }));
    } else if (frame.type === "limited") {
      const record = this.#live(frame.topic);
      if (record !== undefined) record.position = frame.position;
      this.#tell(record, ({ limited }) => limited?.());
    } else if (frame.type === "removed") {
      this.#over(this.#live(frame.topic), ({ removed }) => removed?.());
    } else if (frame.type === "positions") {
      for (const [topic, position] of Object.entries(frame.positions)) {
        const record = this.#live(topic);
        if (record !== undefined) record.position = position;
      }
    }
  }

  #add(topic: string): TopicRecord {
    if (this.#records.size >= topicsMax) throw clientError("too_many_topics");
    const seen = new RecentIds(idsRememberedMax);
    const record: TopicRecord = {
      topic,
      listeners: new Set(),
      seen,
      phase: "idle",
      position: undefined,
      refusals: 0,
      notBefore: 0,
    };
    this.#records.set(topic, record);
    return record;
  }

  /** Of other topics nothing is expected: what comes was on its way when they were left. */
  #live(topic: string): TopicRecord | undefined {
    const record = this.#records.get(topic);
    return record?.phase === "live" ? record : undefined;
  }

  #entry({ topic, position, entry }: EntryFrame): void {
    const record = this.#live(topic);
    if (record === undefined || record.position === position || !record.seen.add(entry.id)) return;
    record.position = position;
    const pushed = { topic, position, ...entry };
    this.#tell(record, ({ entry }) => entry?.(pushed));
  }

  /** All who listen, also when one of them ends the client: the entry counts as passed on. */
  #tell(record: TopicRecord | undefined, call: (handlers: TopicHandlers) => void): void {
    if (record === undefined) return;
    for (const listener of Array.from(record.listeners)) {
      if (!record.listeners.has(listener)) continue;
      callSafely(this.#deps.onError, () => call(listener.handlers));
    }
  }

  /** The subscription has ended on the other side. */
  #over(record: TopicRecord | undefined, call: (handlers: TopicHandlers) => void): void {
    if (record === undefined) return;
    this.#records.delete(record.topic);
    record.phase = "idle";
    this.#tell(record, call);
    record.listeners.clear();
  }

  /** What is wanted in the same moment goes into the same frames; what is left and wanted again is not left at all. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const leaving: TopicRecord[] = [];
    const fresh: TopicRecord[] = [];
    const known: TopicRecord[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const record of this.#records.values()) {
      const { phase, listeners, notBefore, position } = record;
      const wanted = listeners.size > 0;
      const toLeave = phase === "staying" || (phase === "live" && !wanted);
      if (phase === "idle" && !wanted) this.#records.delete(record.topic);
      else if (!toLeave && phase !== "idle") continue;
      else if (notBefore > this.#deps.clock.now()) next = Math.min(next, notBefore);
      else (toLeave ? leaving : position === undefined ? fresh : known).push(record);
    }
    if (this.#limits === undefined) return;
    this.#wake(next);
    for (const part of chunksOf(leaving, this.#limits)) this.#unsubscribe(part);
    for (const part of chunksOf(fresh, this.#limits)) this.#ask(part, subscribeTo(part));
    for (const part of chunksOf(known, this.#limits)) this.#ask(part, resume(part));
  }

  #wake(at: number): void {
    const { clock } = this.#deps;
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, at - clock.now());
  }

  #ask(records: readonly TopicRecord[], question: Question): void {
    for (const record of records) record.phase = "asked";
    // Without a time-out: a late answer would count, too, and the heartbeat tells when none will come.
    this.#deps.requests.ask(
      question,
      this.#outcome(records, (reply) => this.#answered(records, reply)),
      {
        patient: true,
      },
    );
  }

  #unsubscribe(records: readonly TopicRecord[]): void {
    for (const record of records) record.phase = "leaving";
    const topics = records.map(({ topic }) => topic);
    const done = (): void => {
      for (const record of records) this.#left(record);
      this.#schedule();
    };
    this.#deps.requests.ask({ type: "unsubscribe", topics }, this.#outcome(records, done), { patient: true });
  }

  #outcome(records: readonly TopicRecord[], done: (reply: Reply) => void): Outcome {
    const failed = (error: TidingsError): void => {
      // Without a connection `lost` says what becomes of the topics.
      if (this.#limits === undefined) return;
      for (const record of records) {
        if (record.phase === "leaving") this.#postpone(record, "staying", error);
        else this.#refused(record, error);
      }
      this.#schedule();
    };
    return { done, failed };
  }

  #answered(records: readonly TopicRecord[], reply: Reply): void {
    if (reply.type !== "subscribed") return;
    const live = records.filter(({ topic }) => reply.topics[topic] !== undefined);
    const refused = records.filter((record) => !live.includes(record));
    const limited = live.filter((record) => begin(record, reply.topics[record.topic]));
    for (const record of live) this.#tell(record, ({ live }) => live?.());
    for (const record of limited) this.#tell(record, ({ limited }) => limited?.());
    for (const record of refused) {
      const error = reply.refused[record.topic];
      this.#refused(record, error === undefined ? clientError("unexpected_answer") : frameError(error));
    }
    this.#schedule();
  }

  #refused(record: TopicRecord, error: TidingsError): void {
    if (error.retry === "later") this.#postpone(record, "idle", error);
    else this.#over(record, ({ refused }) => refused?.(error));
  }

  #postpone(record: TopicRecord, phase: Phase, { retryAfterS = 0 }: TidingsError): void {
    const { clock, random } = this.#deps;
    record.phase = phase;
    record.refusals++;
    record.notBefore = clock.now() + retryAfterS * 1000 + backoffMs(record.refusals, repeatBackoff, random());
  }

  /** The server sends nothing more. Whoever has come meanwhile begins anew. */
  #left(record: TopicRecord): void {
    record.phase = "idle";
    record.position = undefined;
    if (record.listeners.size === 0) this.#records.delete(record.topic);
  }
}

/** The topic is live. Whether something was missed that will not come. */
function begin(record: TopicRecord, told: SubscribedTopic | undefined): boolean {
  if (told === undefined) return false;
  record.phase = "live";
  record.refusals = 0;
  const known = record.position !== undefined;
  // What was missed follows the answer: until it has come, the place is still the old one.
  if (!known || told.limited === true) record.position = told.position;
  return known && told.limited === true;
}
