import type { Entry } from "../eventlog/eventlog.ts";
import type { Subscription } from "./channel.ts";
import { entryFrame, frameOf } from "./frames.ts";
import type { Hub } from "./hub.ts";
import { Lines } from "./lines.ts";
import type { Past } from "./past.ts";
import type { Reader } from "./reader.ts";
import type { Pushed } from "./ring.ts";
import { slicesOf } from "./slices.ts";

/** Entries that a reader is sent of what it missed; whoever missed more reads the state anew over HTTP. */
export const missedEntriesMax = 2_000;
/** Bytes of the past that are held for one reader at a time, of all its topics; the others are limited. */
export const pastBytesMax = 4 * 1_048_576;
/** How often the rings may run ahead of a reader whose past is read, before it is told that it missed too much. */
export const loadsMax = 3;

/** What a subscription still has to be sent before it is live. */
export type Backlog = {
  readonly limited: boolean;
  readonly entries: readonly Pushed[];
  /** Bytes of them, which count for the reader until `begin`. */
  readonly bytes: number;
  /** The reader has everything up to here. */
  readonly from: number;
};

export type CatchUpDeps = {
  readonly hub: Hub;
  readonly past: Pick<Past, "read" | "turn">;
  readonly generation: () => number;
  readonly onLimited?: () => void;
};

/**
 * Brings subscriptions that are behind back to what is live: from the ring of the partition, before that from the log;
 * in order, without a gap and without a repetition. Or it tells the reader that it cannot: `limited`.
 */
export class CatchUp {
  readonly #deps: CatchUpDeps;
  /** A client that asks for a thousand topics must not be a thousand readers of the past. */
  readonly #lines = new Lines<Reader>();
  /** Bytes of the past that are held for each reader. */
  readonly #held = new WeakMap<Reader, number>();

  constructor(deps: CatchUpDeps) {
    this.#deps = deps;
  }

  /**
   * Finds out whether subscriptions of one reader that are behind can be brought back, and fetches what only the log
   * still holds. Each of them is to be given to `begin`; before that it is sent nothing.
   */
  async prepare(reader: Reader, subscriptions: readonly Subscription[]): Promise<readonly Backlog[]> {
    for (const subscription of subscriptions) subscription.loading = true;
    if (!subscriptions.some((one) => this.#needsPast(one))) {
      return subscriptions.map((subscription) => this.#backlogWithoutPast(subscription));
    }
    return this.#lines.add(reader, async () => {
      const prepared = await this.#deps.past.turn(ownerOf(reader), () =>
        this.#prepareAll(reader, subscriptions),
      );
      return prepared ?? subscriptions.map((subscription) => this.#backlogWithoutPast(subscription));
    });
  }

  /** Sends what `prepare` has fetched and all that came since, as far as the reader takes it. */
  begin(subscription: Subscription, { entries, bytes, from }: Backlog): void {
    const { reader } = subscription;
    this.#release(reader, bytes);
    if (subscription.index === -1) return;
    subscription.loading = false;
    subscription.readsPast = false;
    let written = from;
    for (const slice of slicesOf(entries, bytesOf)) {
      if (reader.full) {
        // The rest is read from the log once more when there is room again: it is not kept for whoever takes nothing.
        subscription.at = written;
        return reader.lag();
      }
      writeNews(subscription, slice);
      written = slice.at(-1)?.offset ?? written;
    }
    this.run(subscription);
  }

  /** Goes on where the reader is, as far as it takes what it is sent. */
  run(subscription: Subscription): void {
    const { channel, reader } = subscription;
    const ring = this.#deps.hub.ringOf(channel.topic);
    while (subscription.behind && !subscription.loading && subscription.index !== -1) {
      if (reader.full) return reader.lag();
      if (subscription.stale) return this.skip(subscription);
      if (this.#needsPast(subscription)) return void this.#recover(reader, [subscription]);
      const missed = ring.missed(channel.topic, subscription.at, missedEntriesMax);
      if (missed === undefined) return this.skip(subscription);
      const [slice] = slicesOf(missed, bytesOf);
      const last = slice?.at(-1);
      if (slice === undefined || last === undefined) {
        subscription.behind = false;
        subscription.isNews = undefined;
      } else {
        subscription.at = last.offset;
        writeNews(subscription, slice);
      }
    }
  }

  /** The same for all subscriptions of a reader that takes something again: those whose past is to be read together. */
  runAll(reader: Reader, subscriptions: Iterable<Subscription>): void {
    const late: Subscription[] = [];
    for (const subscription of subscriptions) {
      if (reader.full) return reader.lag();
      if (!subscription.behind || subscription.loading) continue;
      if (this.#needsPast(subscription) && !subscription.stale) late.push(subscription);
      else this.run(subscription);
    }
    if (late.length > 0) void this.#recover(reader, late);
  }

  /** What `prepare` has found, as far as it still counts at this moment. */
  confirm(subscription: Subscription, backlog: Backlog): Backlog {
    if (!subscription.stale) return backlog;
    this.#release(subscription.reader, backlog.bytes);
    return this.limit(subscription);
  }

  /** Lets go of what the reader missed, and tells it: at once, or with what is being read for it. */
  skip(subscription: Subscription): void {
    if (subscription.loading) {
      subscription.stale = true;
      return;
    }
    this.#tellSkipped(subscription);
  }

  #tellSkipped(subscription: Subscription): void {
    const backlog = this.limit(subscription);
    if (subscription.index !== -1) this.#tellLimited(subscription);
    this.begin(subscription, backlog);
  }

  /** The reader gets nothing of what it missed, and goes on from here. */
  limit(subscription: Subscription): Backlog {
    subscription.loading = true;
    subscription.stale = false;
    subscription.readsPast = false;
    subscription.at = this.#deps.hub.ringOf(subscription.channel.topic).head;
    this.#deps.onLimited?.();
    return { limited: true, entries: [], bytes: 0, from: subscription.at };
  }

  /** Readers that were slow for so long that the ring has moved on. */
  async #recover(reader: Reader, subscriptions: readonly Subscription[]): Promise<void> {
    for (const subscription of subscriptions) subscription.loading = true;
    await this.#lines.add(reader, async () => {
      const served = await this.#deps.past.turn(ownerOf(reader), async () => {
        for (const group of byPartition(subscriptions)) await this.#recoverGroup(reader, group);
        return true;
      });
      if (served === undefined) for (const subscription of subscriptions) this.#tellSkipped(subscription);
    });
  }

  async #recoverGroup(reader: Reader, group: readonly Subscription[]): Promise<void> {
    if (reader.full) {
      for (const subscription of group) subscription.loading = false;
      return reader.lag();
    }
    const backlogs = await this.#prepareGroup(reader, group);
    for (const [i, subscription] of group.entries()) {
      const prepared = backlogs[i] ?? this.limit(subscription);
      const backlog = this.confirm(subscription, prepared);
      if (backlog.limited && subscription.index !== -1) this.#tellLimited(subscription);
      this.begin(subscription, backlog);
    }
  }

  async #prepareAll(reader: Reader, subscriptions: readonly Subscription[]): Promise<readonly Backlog[]> {
    const prepared = new Map<Subscription, Backlog>();
    for (const group of byPartition(subscriptions)) {
      const backlogs = await this.#prepareGroup(reader, group);
      for (const [i, backlog] of backlogs.entries()) {
        const subscription = group[i];
        if (subscription !== undefined) prepared.set(subscription, backlog);
      }
    }
    return subscriptions.map((subscription) => prepared.get(subscription) ?? this.limit(subscription));
  }

  /** Subscriptions of one partition: what all of them missed is looked for together, until the ring has the rest. */
  async #prepareGroup(reader: Reader, group: readonly Subscription[]): Promise<readonly Backlog[]> {
    const loads = group.map((subscription): Load => ({
      subscription,
      from: subscription.at,
      entries: [],
      bytes: 0,
      limited: false,
    }));
    const isLate = ({ subscription, limited }: Load): boolean => !limited && this.#needsPast(subscription);
    for (let times = 0; loads.some(isLate); times++) {
      const late = loads.filter(isLate);
      if (times < loadsMax) await this.#load(reader, late);
      else for (const load of late) load.limited = true;
    }
    return loads.map((load) => this.#backlogOf(load));
  }

  async #load(reader: Reader, late: readonly Load[]): Promise<void> {
    const { hub, past, generation } = this.#deps;
    const [first] = late;
    if (first === undefined) return;
    const { partition, topic } = first.subscription.channel;
    const upTo = hub.ringOf(topic).start - 1;
    const after = new Map(late.map(({ subscription: { channel, at } }) => [channel.topic, at]));
    for (const { subscription } of late) subscription.readsPast = true;
    const found = await past.read({ partition, after, upTo }, (entry) => hub.isPushed(entry));
    for (const load of late) {
      const entries = found
        .get(load.subscription.channel.topic)
        ?.map((entry) => pushedOf(entry, generation()));
      const bytes = entries?.reduce((sum, { frame }) => sum + frame.length, 0) ?? 0;
      const held = this.#held.get(reader) ?? 0;
      if (
        entries === undefined ||
        load.entries.length + entries.length > missedEntriesMax ||
        held + bytes > pastBytesMax
      ) {
        load.limited = true;
        continue;
      }
      this.#held.set(reader, held + bytes);
      load.bytes += bytes;
      load.entries.push(...entries);
      load.subscription.at = upTo;
    }
  }

  /** Of a subscription that is not brought back from the log: from the ring, if that has all of it. */
  #backlogWithoutPast(subscription: Subscription): Backlog {
    const limited = this.#needsPast(subscription);
    return this.#backlogOf({ subscription, from: subscription.at, entries: [], bytes: 0, limited });
  }

  /** What the ring holds is sent from there; it only must not be too much. */
  #backlogOf({ subscription, from, entries, bytes, limited }: Load): Backlog {
    const { topic } = subscription.channel;
    const ring = this.#deps.hub.ringOf(topic);
    const room = missedEntriesMax - entries.length;
    if (!limited && ring.missed(topic, subscription.at, room) !== undefined) {
      return { limited: false, entries, bytes, from };
    }
    this.#release(subscription.reader, bytes);
    return this.limit(subscription);
  }

  #needsPast({ channel, at, index }: Subscription): boolean {
    return index !== -1 && at < this.#deps.hub.ringOf(channel.topic).start - 1;
  }

  #tellLimited({ channel, reader, at }: Subscription): void {
    const position = this.#deps.hub.position(channel.partition, at);
    const bytes = channel.encoding.frame(frameOf({ type: "limited", topic: channel.topic, position }));
    if (bytes === undefined) reader.lost();
    else reader.write(bytes);
  }

  #release(reader: Reader, bytes: number): void {
    if (bytes > 0) this.#held.set(reader, (this.#held.get(reader) ?? 0) - bytes);
  }
}

/** A backlog while it is gathered. */
type Load = {
  readonly subscription: Subscription;
  readonly from: number;
  readonly entries: Pushed[];
  bytes: number;
  limited: boolean;
};

/** A person's readers take turns with those of others, not with each other. */
function ownerOf(reader: Reader): unknown {
  return reader.userId ?? reader;
}

function byPartition(subscriptions: readonly Subscription[]): Iterable<readonly Subscription[]> {
  return Map.groupBy(subscriptions, ({ channel }) => channel.partition).values();
}

function pushedOf(entry: Entry, generation: number): Pushed {
  const { offset, topic, id } = entry;
  return { offset, topic, id, frame: entryFrame(entry, generation), older: undefined, newer: undefined };
}

function bytesOf({ frame }: Pushed): number {
  return frame.length;
}

function writeNews({ channel, reader, isNews }: Subscription, slice: readonly Pushed[]): void {
  const bytes = channel.encoding.entries(isNews === undefined ? slice : slice.filter(isNews));
  if (bytes !== undefined) reader.write(bytes);
}
