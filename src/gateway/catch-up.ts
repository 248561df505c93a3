import type { Entry } from "../eventlog/eventlog.ts";
import type { Subscription } from "./channel.ts";
import { entryFrame, frameOf } from "./frames.ts";
import type { Hub } from "./hub.ts";
import type { Past } from "./past.ts";
import type { Pushed } from "./ring.ts";

/** Entries that a reader is sent of what it missed; whoever missed more reads the state anew over HTTP. */
export const missedEntriesMax = 2_000;
/** Bytes of them in one write: between two writes it is seen whether the reader still takes them. */
const sliceBytes = 65_536;
/** How often the rings may run ahead of a reader whose past is read, before it is told that it missed too much. */
const loadsMax = 3;

/** What a subscription still has to be sent before it is live. */
export type Backlog = { readonly limited: boolean; readonly entries: readonly Pushed[] };

/** What may still be read of the past for several subscriptions together. */
export type Budget = { bytes: number };

export type CatchUpDeps = {
  readonly hub: Hub;
  readonly past: Pick<Past, "read">;
  readonly generation: () => number;
  readonly onLimited?: () => void;
};

/**
 * Brings subscriptions that are behind back to what is live: from the ring of the partition, before that from the log;
 * in order, without a gap and without a repetition. Or it tells the reader that it cannot: `limited`.
 */
export class CatchUp {
  readonly #deps: CatchUpDeps;

  constructor(deps: CatchUpDeps) {
    this.#deps = deps;
  }

  /**
   * Finds out whether a subscription that is behind can be brought back, and fetches what only the log still holds.
   * Until `begin`, it is sent nothing.
   */
  async prepare(subscription: Subscription, budget: Budget = { bytes: Infinity }): Promise<Backlog> {
    subscription.loading = true;
    const { topic } = subscription.channel;
    const ring = this.#deps.hub.ringOf(topic);
    const entries: Pushed[] = [];
    for (let loads = 0; subscription.at < ring.start - 1; loads++) {
      const upTo = ring.start - 1;
      const found = loads === loadsMax ? undefined : await this.#load(subscription, upTo);
      if (subscription.index === -1) return { limited: false, entries: [] };
      if (found === undefined || found.length + entries.length > missedEntriesMax)
        return this.limit(subscription);
      budget.bytes -= found.reduce((sum, { frame }) => sum + frame.length, 0);
      if (budget.bytes < 0) return this.limit(subscription);
      entries.push(...found);
      subscription.at = upTo;
    }
    if (ring.missed(topic, subscription.at, missedEntriesMax) === undefined) return this.limit(subscription);
    return { limited: false, entries };
  }

  /** Sends what `prepare` has fetched and all that came since. */
  begin(subscription: Subscription, { entries }: Backlog): void {
    if (subscription.index === -1) return;
    const bytes = subscription.channel.encoding.entries(entries);
    if (bytes !== undefined) subscription.reader.write(bytes);
    subscription.loading = false;
    this.run(subscription);
  }

  /** Goes on where the reader is, as far as it takes what it is sent. */
  run(subscription: Subscription): void {
    const { channel, reader } = subscription;
    const ring = this.#deps.hub.ringOf(channel.topic);
    while (subscription.behind && !subscription.loading && subscription.index !== -1) {
      if (reader.full) return reader.lag();
      if (subscription.at < ring.start - 1) return void this.#recover(subscription);
      const missed = ring.missed(channel.topic, subscription.at, missedEntriesMax);
      if (missed === undefined) return this.skip(subscription);
      const slice = firstOf(missed);
      const last = slice.at(-1);
      if (last === undefined) subscription.behind = false;
      else {
        subscription.at = last.offset;
        const bytes = channel.encoding.entries(slice);
        if (bytes !== undefined) reader.write(bytes);
      }
    }
  }

  /** A reader that was slow for so long that the ring has moved on. */
  async #recover(subscription: Subscription): Promise<void> {
    const backlog = await this.prepare(subscription);
    if (backlog.limited) this.#tellLimited(subscription);
    this.begin(subscription, backlog);
  }

  /** Lets go of what the reader missed, and tells it. */
  skip(subscription: Subscription): void {
    this.limit(subscription);
    this.#tellLimited(subscription);
    this.begin(subscription, { limited: true, entries: [] });
  }

  /** The reader gets nothing of what it missed, and goes on from here. */
  limit(subscription: Subscription): Backlog {
    subscription.loading = true;
    subscription.at = this.#deps.hub.ringOf(subscription.channel.topic).head;
    this.#deps.onLimited?.();
    return { limited: true, entries: [] };
  }

  #tellLimited({ channel, reader, at }: Subscription): void {
    const position = this.#deps.hub.position(channel.partition, at);
    const bytes = channel.encoding.frame(frameOf({ type: "limited", topic: channel.topic, position }));
    if (bytes !== undefined) reader.write(bytes);
  }

  async #load({ channel, at }: Subscription, upTo: number): Promise<readonly Pushed[] | undefined> {
    const { hub, past, generation } = this.#deps;
    const { partition, topic } = channel;
    const entries = await past.read({ partition, topic, after: at, upTo }, (entry) => hub.isPushed(entry));
    return entries?.map((entry) => pushedOf(entry, generation()));
  }
}

function pushedOf(entry: Entry, generation: number): Pushed {
  const { offset, topic, id } = entry;
  return { offset, topic, id, frame: entryFrame(entry, generation), older: undefined, newer: undefined };
}

function firstOf(entries: readonly Pushed[]): readonly Pushed[] {
  let bytes = 0;
  const end = entries.findIndex(({ frame }) => (bytes += frame.length) > sliceBytes);
  return end === -1 ? entries : entries.slice(0, Math.max(1, end));
}
