import type { Client } from "pg";
import type { DbAddress } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";
import type { Entry, PartitionGrowth } from "./eventlog.ts";
import { noticeBytesMax, noticeEntriesMax, noticeText, readNotice } from "./growth-notice.ts";

export const notifyEveryMs = 10;
export const pollIdleMs = 1_000;
export const pollBusyMs = 50;
const channel = "eventlog";

export type GrowthOptions = {
  readonly address: DbAddress;
  readonly log: Logger;
  /** LISTEN/NOTIFY beside the poll; off where sessions are not one's own (a transaction-mode pooler). */
  readonly notify: boolean;
  /** Tells this process's own notices from those of others. */
  readonly node: string;
  /** Entries that another process has appended, before it is told that the log has grown by them. */
  readonly onEntries: (entries: readonly Entry[]) => void;
  readonly generation: () => number;
  /** The log may not be what it was: see `Growth.startAnew`. */
  readonly onPastChanged: () => void;
  /** The log's generation, as the database has it now. */
  readonly onGeneration: (generation: number) => void;
};

/**
 * Tells readers that partitions have grown. Own appends: at once, in memory. Other processes: NOTIFY after the
 * commit, never inside it (it would serialise all commits), the first at once and then at most one per 10 ms, and a poll
 * behind it, since a notice can be lost. A few entries go along with their notice, so that nobody has to ask for them.
 * Everything here is a hint; the read from the checkpoint is the truth.
 */
export class Growth {
  readonly #options: GrowthOptions;
  readonly #session: Session;
  readonly #listeners = new Set<(growth: readonly PartitionGrowth[]) => void>();
  readonly #known = new Map<number, number>();
  readonly #unsent = new Map<number, number>();
  /** The entries that made them grow; undefined once they are too many for a notice. */
  #unsentEntries: Entry[] | undefined = [];
  #unsentLength = 0;
  #notifyTimer: NodeJS.Timeout | undefined;
  #noticedAtMs = Number.NEGATIVE_INFINITY;
  #pollTimer: NodeJS.Timeout | undefined;
  #pollMs = pollBusyMs;
  #closed = false;

  constructor(options: GrowthOptions) {
    this.#options = options;
    this.#session = new Session(options.address, {
      name: "growth",
      log: options.log,
      // Polls and notices may be on their way at the same time.
      pipeline: true,
      statementTimeoutMs: 5_000,
      onConnect: async (client: Client) => {
        this.startAnew();
        if (options.notify) await this.#listen(client);
      },
    });
  }

  /**
   * Forgets the heads that were heard of. A database that failed over or was restored may have lost the newest entries:
   * what comes in their place lies at offsets that were heard of before and is news all the same.
   */
  startAnew(): void {
    this.#known.clear();
    // What was told over the old connection may be in no log: heads are hints, entries would be believed.
    this.#forgetEntries();
    this.#options.onPastChanged();
  }

  subscribe(listener: (growth: readonly PartitionGrowth[]) => void): () => void {
    this.#listeners.add(listener);
    this.#startPolling();
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** This process has appended these entries, or others: tells its own readers now and the others soon. */
  appended(growth: readonly PartitionGrowth[], entries: readonly Entry[] | undefined): void {
    this.#emit(growth);
    if (!this.#options.notify || this.#closed) return;
    for (const { partition, head } of growth) {
      this.#unsent.set(partition, Math.max(head, this.#unsent.get(partition) ?? 0));
    }
    this.#unsentLength += entries?.reduce((sum, { data }) => sum + data.length, 0) ?? 0;
    const isTooMuch =
      (entries?.length ?? 0) + (this.#unsentEntries?.length ?? 0) > noticeEntriesMax ||
      this.#unsentLength > noticeBytesMax;
    if (entries === undefined || isTooMuch) this.#unsentEntries = undefined;
    this.#unsentEntries?.push(...(entries ?? []));
    if (this.#notifyTimer !== undefined) return;
    const waitMs = this.#noticedAtMs + notifyEveryMs - performance.now();
    if (waitMs <= 0) void this.#sendNotice();
    else this.#notifyTimer = setTimeout(() => void this.#sendNotice(), Math.ceil(waitMs));
  }

  /** Opens its connection, if it is not open. */
  async connect(): Promise<void> {
    await this.#session.connect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#notifyTimer);
    this.#listeners.clear();
    await this.#session.close();
  }

  #emit(growth: readonly PartitionGrowth[]): void {
    const news = growth.filter(({ partition, head }) => head > (this.#known.get(partition) ?? 0));
    if (news.length === 0) return;
    for (const { partition, head } of news) this.#known.set(partition, head);
    for (const listener of this.#listeners) listener(news);
  }

  async #sendNotice(): Promise<void> {
    this.#notifyTimer = undefined;
    this.#noticedAtMs = performance.now();
    try {
      // First the connection: a new one may be one to a database that has lost what is to be told (`startAnew`).
      const client = await this.#session.connect();
      const growth = [...this.#unsent].map(([partition, head]) => ({ partition, head }));
      if (growth.length === 0) return;
      const { node, generation } = this.#options;
      const entries = this.#unsentEntries ?? [];
      const text = noticeText({ node, generation: generation(), growth, entries });
      this.#unsent.clear();
      this.#forgetEntries();
      await client.query({
        name: "growth_notice",
        text: "select pg_notify($1, $2)",
        values: [channel, text],
      });
    } catch (error) {
      this.#options.log.debug({ err: error }, "growth notice lost; other processes will poll");
    }
  }

  async #listen(client: Client): Promise<void> {
    client.on("notification", ({ payload = "" }) => {
      if (payload.startsWith(`${this.#options.node} `)) return;
      const notice = readNotice(payload);
      if (notice === undefined) return;
      const { growth, generation, entries } = notice;
      if (generation === this.#options.generation()) {
        // Of what is no news, the entries may have been redacted since: nobody needs them any more.
        const news = entries.filter(({ partition, offset }) => offset > (this.#known.get(partition) ?? 0));
        if (news.length > 0) this.#options.onEntries(news);
      }
      this.#emit(growth);
    });
    await client.query(`listen ${channel}`);
  }

  #forgetEntries(): void {
    this.#unsentEntries = [];
    this.#unsentLength = 0;
  }

  #startPolling(): void {
    if (this.#pollTimer !== undefined || this.#closed) return;
    this.#pollTimer = setTimeout(() => void this.#poll(), this.#pollMs);
  }

  /** Seldom while notices arrive; without them often after growth, and ever more seldom while nothing happens. */
  async #poll(): Promise<void> {
    const before = new Map(this.#known);
    try {
      const { rows } = await this.#session.query<{ part: number; head: number; generation: number }>({
        name: "growth_poll",
        text: "select part, next_offset - 1 as head, generation from eventlog_partition, eventlog_meta",
      });
      // What was heard of before the question was committed by then, and a commit that stays is in the answer.
      if (rows.some(({ part, head }) => head < (before.get(part) ?? 0))) {
        this.#options.log.warn("the log has lost entries: its database was failed over or restored");
        this.startAnew();
      }
      if (rows[0] !== undefined) this.#options.onGeneration(rows[0].generation);
      this.#emit(rows.map(({ part, head }) => ({ partition: part, head })));
    } catch (error) {
      this.#options.log.debug({ err: error }, "growth poll failed");
    }
    const grown = [...this.#known].some(([partition, head]) => head !== before.get(partition));
    if (this.#options.notify) this.#pollMs = pollIdleMs;
    else this.#pollMs = grown ? pollBusyMs : Math.min(this.#pollMs * 2, pollIdleMs);
    this.#pollTimer = undefined;
    if (this.#listeners.size > 0) this.#startPolling();
  }
}
