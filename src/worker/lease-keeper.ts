import {
  type Lease,
  beat,
  claimLeases,
  hasFreePartitions,
  leave,
  releaseLeases,
  renewEveryMs,
  renewLeases,
} from "../eventlog/leases.ts";
import { backoffMs, endsWithin } from "../lib/backoff.ts";
import { type DbAddress, type Queryable, type Row, isTransientDbError } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";

/** A group that this process works on, and who is told of its leases. */
export type LeaseHolder = {
  readonly group: string;
  /** Resolves when the holder works on these partitions and on no others. */
  readonly sync: (leases: readonly Lease[]) => Promise<void>;
};

export type LeaseKeeperOptions = {
  readonly address: DbAddress;
  readonly node: string;
  readonly partitions: number;
  readonly holders: readonly LeaseHolder[];
  readonly log: Logger;
  /** Milliseconds between renewals; `renewEveryMs` unless given. */
  readonly renewEveryMs?: number;
};

/** How soon to look again while partitions are free but locked by a batch that is about to end, milliseconds. */
const lookAgainMs = 200;
/** Longest wait for one statement about leases, milliseconds: well below the life of a lease. */
const statementTimeoutMs = 5_000;
/** How long the look under way may take when the process is to end, and how long giving back may, milliseconds. */
const endMaxMs = 1_000;

/**
 * Keeps this process's fair share of the partitions leased, and tells the groups' holders. In a session of its own: a
 * pool that is busy elsewhere must not cost the leases. Nothing here waits for a batch, for the same reason.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #session: Session;
  readonly #db: Queryable;
  /** Leases that are being handed over: renewed until their batch has ended, but no longer worked on. */
  readonly #leaving = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #failures = 0;
  #started = false;
  #stopped = false;
  /** The last look has not ended in good order. */
  #unanswered = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#session = new Session(options.address, { name: "leases", log: options.log, statementTimeoutMs });
    this.#db = toQueryable(this.#session);
  }

  /** Resolves when what is free has been claimed. */
  async start(): Promise<void> {
    this.#started = true;
    const balancing = this.#turn.then(() => this.#balance());
    // Whoever gives up the start stops this while it still waits for an answer.
    this.#turn = balancing.then(
      () => undefined,
      () => void this.#failures++,
    );
    this.#schedule(await balancing);
  }

  /** Looks at what is still held, as soon as possible. */
  lookNow(): void {
    if (this.#stopped) return;
    this.#turn = this.#turn.then(() => this.#look());
  }

  /** Ends renewing. Leases are given back by `leave`, when nobody works under them any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#unanswered = !(await endsWithin(this.#turn, endMaxMs)) || this.#failures > 0;
  }

  /**
   * Gives everything back, whether a holder has taken it over or not. A database that has not answered the last time is
   * not asked again.
   */
  async leave(): Promise<void> {
    const { log, node } = this.#options;
    try {
      if (!this.#started) return;
      if (this.#unanswered || !(await endsWithin(leave(this.#db, node), endMaxMs)))
        log.warn("leases were not given back; they end by themselves");
    } catch (error) {
      if (!isTransientDbError(error)) throw error;
      log.warn({ err: error }, "leases could not be given back; they end by themselves");
    } finally {
      await this.#session.close();
    }
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.lookNow(), delayMs);
  }

  async #look(): Promise<void> {
    const everyMs = this.#options.renewEveryMs ?? renewEveryMs;
    try {
      this.#schedule(await this.#balance());
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      this.#options.log.warn({ err: error, attempt: this.#failures }, "leases could not be renewed");
      this.#schedule(backoffMs(this.#failures, { baseMs: lookAgainMs, factor: 2, maxMs: everyMs }));
    }
  }

  /**
   * Renews, claims what is free, hands over what is above the fair share, and tells the holders. Resolves with the
   * milliseconds until the next time.
   */
  async #balance(): Promise<number> {
    const { node, partitions, holders } = this.#options;
    const groups = holders.map(({ group }) => group);
    const members = await beat(this.#db, { node, groups });
    const shares = groups.map((group, i) => ({ group, share: Math.ceil(partitions / (members[i] ?? 1)) }));
    const held = await renewLeases(this.#db, node);
    const leases = [...held, ...(await claimLeases(this.#db, { node, shares }))];
    const keys = new Set(leases.map(keyOf));
    for (const key of this.#leaving) if (!keys.has(key)) this.#leaving.delete(key);
    const lacking: string[] = [];
    for (const [i, { group, share }] of shares.entries()) {
      const mine = leases.filter((lease) => lease.group === group);
      if (mine.length < share) lacking.push(group);
      const holder = holders[i];
      if (holder !== undefined) this.#assign(holder, mine, share);
    }
    const everyMs = this.#options.renewEveryMs ?? renewEveryMs;
    const again = lacking.length > 0 && (await hasFreePartitions(this.#db, lacking));
    return again ? Math.min(lookAgainMs, everyMs) : everyMs;
  }

  /** Tells the holder what it has. What is above its share goes to others once its batch has ended. */
  #assign(holder: LeaseHolder, mine: readonly Lease[], share: number): void {
    const staying = mine.filter((lease) => !this.#leaving.has(keyOf(lease)));
    const takenOver = holder.sync(staying.slice(0, share));
    const excess = staying.slice(share);
    if (excess.length > 0) void this.#handOver(excess, takenOver);
  }

  async #handOver(excess: readonly Lease[], takenOver: Promise<void>): Promise<void> {
    for (const lease of excess) this.#leaving.add(keyOf(lease));
    try {
      await takenOver;
      // At the end everything is given back at once.
      if (!this.#stopped) await releaseLeases(this.#db, this.#options.node, excess);
    } catch (error) {
      this.#options.log.warn({ err: error }, "partitions could not be handed over");
      for (const lease of excess) this.#leaving.delete(keyOf(lease));
    }
  }
}

/** The epoch makes it unique for ever: a partition that comes back has another. */
function keyOf({ group, partition, epoch }: Lease): string {
  return `${group} ${partition} ${epoch}`;
}

function toQueryable(session: Session): Queryable {
  return {
    query: async <R extends Row>(text: string, values: readonly unknown[] = []) => {
      const { rows, rowCount } = await session.query<R>({ text, values: [...values] });
      return { rows, rowCount: rowCount ?? 0 };
    },
  };
}
