import type { TopicKind } from "../deps.ts";
import {
  type Entry,
  type RedactedData,
  parseData,
  redactedData,
  redactedType,
} from "../eventlog/eventlog.ts";
import { partitionOf } from "../eventlog/murmur2.ts";
import { formatPosition } from "../eventlog/position.ts";
import { Channel, type Subscription } from "./channel.ts";
import { entryFrame, frameOf, redactedFrame } from "./frames.ts";
import type { Encoding, Reader } from "./reader.ts";
import { Ring, type RingBounds } from "./ring.ts";

export type HubOptions = {
  readonly generation: () => number;
  /** The last offset of each partition when the gateway begins. */
  readonly heads: readonly number[];
  readonly ring: RingBounds;
  readonly kinds: ReadonlyMap<string, Pick<TopicKind, "entries" | "revokes">>;
  /** Called with every entry of the log, whether anybody may read it or not. */
  readonly onEntry?: (entry: Entry) => void;
  /** An entry could not be made a frame of, or not be understood: its readers have lost the topic. */
  readonly onFault?: (error: unknown, entry: Entry) => void;
  /** Called with each batch of bytes: how many entries went to how many readers. */
  readonly onFlush?: (entries: number, readers: number) => void;
};

/** Offsets that pass in a partition before those who read quiet topics of it are told how far they are. */
export const tellEvery = 1_024;

/** Topic -> readers. What the tail reads goes into a ring per partition and out to everybody who reads the topic. */
export class Hub {
  readonly #options: HubOptions;
  readonly #rings: Ring[];
  /** Channels by topic: one, or one per encoding. */
  readonly #channels = new Map<string, Channel[]>();
  readonly #dirty = new Set<Channel>();
  readonly #toldAt: number[];

  constructor(options: HubOptions) {
    this.#options = options;
    this.#rings = options.heads.map((head) => new Ring(head, options.ring));
    this.#toldAt = [...options.heads];
  }

  get topics(): number {
    return this.#channels.size;
  }

  ringOf(topic: string): Ring {
    return this.#ring(partitionOf(topic, this.#rings.length));
  }

  /** How many read the topic. */
  readersOf(topic: string): number {
    return (this.#channels.get(topic) ?? []).reduce(
      (sum, { subscriptions }) => sum + subscriptions.length,
      0,
    );
  }

  /**
   * A new reader of the topic that has everything up to `at`, by default all there is. It is behind: nothing is sent to
   * it before `CatchUp` has begun, so that what answers its request comes first.
   */
  join(topic: string, reader: Reader, at?: number): Subscription {
    return this.#channelOf(topic, reader.encoding).join(reader, at ?? this.ringOf(topic).head);
  }

  leave(subscription: Subscription): void {
    const { channel } = subscription;
    channel.leave(subscription);
    if (channel.subscriptions.length > 0) return;
    this.#dirty.delete(channel);
    const rest = (this.#channels.get(channel.topic) ?? []).filter((other) => other !== channel);
    if (rest.length === 0) this.#channels.delete(channel.topic);
    else this.#channels.set(channel.topic, rest);
  }

  /** Takes in entries of one partition that follow on each other; `end` is up to where they are all there is. */
  take(partition: number, entries: readonly Entry[], end: number): void {
    for (const entry of entries) {
      try {
        this.#takeOne(entry);
      } catch (error) {
        this.#options.onFault?.(error, entry);
        this.#loseTopic(entry);
        // It may be missing here, or what it was to redact may be here: whoever comes back reads the log.
        this.#rings[partition] = new Ring(entry.offset, this.#options.ring);
      }
    }
    this.#ring(partition).advance(end);
    const nowMs = performance.now();
    for (const channel of this.#dirty) channel.settle(nowMs);
    this.#dirty.clear();
    if (end - (this.#toldAt[partition] ?? 0) >= tellEvery) this.#tellQuiet(partition, end);
  }

  /** Whether clients that read its topic are sent the entry. */
  isPushed({ topic, type }: Entry): boolean {
    return pushes(this.#options.kinds.get(kindOf(topic)), type);
  }

  /** All channels of a topic, to tell their readers something that is no entry. */
  channelsOf(topic: string): readonly Channel[] {
    return this.#channels.get(topic) ?? [];
  }

  /** Begins a partition anew at `head`: what is kept of it counts no longer, and `each` tells those who read its topics. */
  lose(partition: number, head: number, each: (subscription: Subscription) => void): void {
    this.#rings[partition] = new Ring(head, this.#options.ring);
    this.#toldAt[partition] = head;
    for (const channel of [...this.#channels.values()].flat()) {
      if (channel.partition !== partition) continue;
      channel.drop();
      channel.told = head;
      this.#dirty.delete(channel);
      for (const subscription of channel.subscriptions.slice()) each(subscription);
    }
  }

  /** Where the readers of a channel are, as a position that a client may resume from. */
  position(partition: number, offset: number): string {
    return formatPosition({ generation: this.#options.generation(), partition, offset });
  }

  #takeOne(entry: Entry): void {
    const { topic, type, offset, partition } = entry;
    this.#options.onEntry?.(entry);
    if (type === redactedType) this.#redact(entry);
    const kind = this.#options.kinds.get(kindOf(topic));
    if (!pushes(kind, type)) return;
    const frame = entryFrame(entry, this.#options.generation());
    const pushed = this.#ring(partition).add(offset, { topic, id: entry.id, frame });
    const channels = this.#channels.get(topic);
    if (channels !== undefined) {
      for (const channel of channels) {
        channel.add(pushed);
        this.#dirty.add(channel);
      }
    }
    const revokes = kind?.revokes?.[type];
    if (revokes !== undefined && entry.data !== redactedData) this.#revoke(entry, revokes(parseData(entry)));
  }

  /** Nobody knows what the entry would have told: perhaps that somebody may no longer read. Who may asks again. */
  #loseTopic({ topic, partition, offset }: Entry): void {
    const position = this.position(partition, offset);
    for (const channel of this.channelsOf(topic).slice()) {
      for (const subscription of channel.subscriptions.slice()) {
        this.leave(subscription);
        subscription.reader.revoked(topic, position);
      }
    }
  }

  /** The entry itself still reaches those whom it concerns; nothing after it does. */
  #revoke(entry: Entry, userIds: readonly number[]): void {
    if (userIds.length === 0) return;
    const nowMs = performance.now();
    const gone = new Set(userIds);
    const position = this.position(entry.partition, entry.offset);
    for (const channel of this.channelsOf(entry.topic)) {
      channel.flush(nowMs);
      for (const subscription of channel.subscriptions.slice()) {
        const { reader } = subscription;
        if (reader.userId === undefined || !gone.has(reader.userId)) continue;
        this.leave(subscription);
        reader.revoked(entry.topic, position);
      }
    }
  }

  /** What is kept of redacted entries loses its data; those who have them are told by the notice, which is an entry. */
  #redact(notice: Entry): void {
    const ring = this.#ring(notice.partition);
    for (const id of parseData<RedactedData>(notice).entry_ids) {
      ring.replace(notice.topic, id, redactedFrame);
    }
    // What is just being read of the past for somebody may hold the words.
    for (const { subscriptions } of this.channelsOf(notice.topic)) {
      for (const subscription of subscriptions) subscription.stale ||= subscription.readsPast;
    }
  }

  #tellQuiet(partition: number, end: number): void {
    this.#toldAt[partition] = end;
    const position = this.position(partition, end);
    for (const channels of this.#channels.values()) {
      for (const channel of channels) {
        if (channel.partition !== partition || channel.hasPending || end - channel.told < tellEvery) continue;
        channel.told = end;
        channel.tell(frameOf({ type: "positions", positions: { [channel.topic]: position } }), end);
      }
    }
  }

  #channelOf(topic: string, encoding: Encoding): Channel {
    const channels = this.#channels.get(topic);
    const found = channels?.find((channel) => channel.encoding.name === encoding.name);
    if (found !== undefined) return found;
    const partition = partitionOf(topic, this.#rings.length);
    const { head } = this.#ring(partition);
    const channel = new Channel({ topic, partition, encoding, head, onFlush: this.#options.onFlush });
    if (channels === undefined) this.#channels.set(topic, [channel]);
    else channels.push(channel);
    return channel;
  }

  #ring(partition: number): Ring {
    const ring = this.#rings[partition];
    if (ring === undefined) throw new RangeError(`the log has no partition ${partition}`);
    return ring;
  }
}

/** What stands before the slash. */
export function kindOf(topic: string): string {
  return topic.slice(0, Math.max(0, topic.indexOf("/")));
}

/** Whether clients that read topics of the kind are sent entries of the type. */
function pushes(kind: Pick<TopicKind, "entries"> | undefined, type: string): boolean {
  return kind !== undefined && (type === redactedType || kind.entries[type] !== undefined);
}
