import type { Deps } from "../../../deps.ts";
import { arrayLiteral, isPassingDbError, isSchemaFault } from "../../../lib/db.ts";
import type { ExpireDeps } from "../expire.ts";
import { type Due, type Wanted, closePart, releasePart } from "./release-parts.ts";

/** Notifications that one transaction releases, and digests that one closes. */
export const releaseBatchMax = 1_000;
export const digestBatchMax = 100;
/** What cannot be told is tried again after so long, milliseconds. */
export const putOffMs = 600_000;
/** People to whom something cannot be told that one run finds, of each kind; at the next it looks whether anything can be told at all. */
export const asideMax = 20;
/** So much that cannot be told to one person is found in a run; the rest of theirs waits for another. */
export const asideOfOneMax = 3;
/** How much it tries to tell, before it takes that for nobody's fault: of other people from the other end, and then of anybody from either. */
export const trialsMax = 20;
/** What one run takes away, of each kind, that trials find to be wanted no more, or later. */
export const clearedMax = 200;

export type ReleaseDeps = ExpireDeps & Pick<Deps, "log">;

/** What waits to be told in one way: how some of it is told, and how those that cannot be are put off. */
type Kind = { readonly batchMax: number; readonly release: typeof releasePart; readonly putOffSql: string };

const kinds: readonly Kind[] = [
  {
    batchMax: releaseBatchMax,
    release: releasePart,
    putOffSql: "update notification_held set release_at = $2 where id = any($1::uuid[])",
  },
  {
    batchMax: digestBatchMax,
    release: closePart,
    putOffSql: "update notification_digest set closes_at = $2 where id = any($1::uuid[])",
  },
];

/**
 * Tells what was held until now, and closes digests. Resolves with how many were told, or are not wanted any more. One that
 * cannot be told holds up nothing else for long: it is found by halving, left aside, and put off once anything else can be
 * told, of other people or of the same. When nothing can, of as much as is tried, it is nothing's fault: the next run tries
 * all of it again, in its order. So it does while the database is away. Rejects when something cannot be told to more people
 * than one run leaves aside.
 *
 * So what could be told may wait for good between others that cannot: behind what is left aside and `trialsMax / 2` more, and
 * before as many, and the newest of `trialsMax` other people. Of so much there is rather something wrong with the server.
 */
export async function releaseHeld(deps: ReleaseDeps, signal: AbortSignal): Promise<number> {
  const dueMs = deps.clock.now();
  let released = 0;
  const errors: unknown[] = [];
  for (const kind of kinds) {
    try {
      released += await new Release(deps, kind, dueMs, signal).run();
    } catch (error) {
      if (signal.aborted || isPassingDbError(error)) throw error;
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return released;
}

type Which = Pick<Wanted, "ids" | "people" | "newestFirst">;

/** One run over what is due of one kind. */
class Release {
  readonly #deps: ReleaseDeps;
  readonly #kind: Kind;
  readonly #dueMs: number;
  readonly #signal: AbortSignal;
  /** What cannot be told, and whose it is. */
  readonly #aside: Due[] = [];
  #released = 0;
  #told = 0;
  #cleared = 0;

  constructor(deps: ReleaseDeps, kind: Kind, dueMs: number, signal: AbortSignal) {
    this.#deps = deps;
    this.#kind = kind;
    this.#dueMs = dueMs;
    this.#signal = signal;
  }

  async run(): Promise<number> {
    const fault = await this.#runToEnd();
    if (this.#aside.length > 0 && (this.#told > 0 || (await this.#canTell()))) await this.#putOff();
    if (fault !== undefined) throw fault;
    return this.#released;
  }

  /** Resolves with why it ended when it did so before the end: more cannot be told than are looked for one by one. */
  async #runToEnd(): Promise<Error | undefined> {
    const { batchMax } = this.#kind;
    for (let limit = batchMax, found = true; found;) {
      let due: readonly Due[] = [];
      try {
        found = await this.#releaseSome({ limit, onDue: (some) => (due = some) });
        limit = Math.min(limit * 2, batchMax);
      } catch (error) {
        const [only] = due;
        if (this.#isOver(error) || only === undefined) throw error;
        if (due.length > 1) limit = Math.ceil(due.length / 2);
        else {
          if (!this.#hasRoom(only)) return error instanceof Error ? error : new Error(String(error));
          this.#deps.log.error(
            { err: error, notification: only.id },
            "a notification that was held cannot be told",
          );
          this.#aside.push(only);
          limit = batchMax;
        }
      }
    }
    return undefined;
  }

  #hasRoom({ userId }: Due): boolean {
    const people = new Set(this.#aside.map((one) => one.userId));
    return people.has(userId) || people.size < asideMax;
  }

  /** Resolves with whether there was anything. */
  async #releaseSome(wish: Pick<Wanted, "limit" | "onDue">): Promise<boolean> {
    this.#signal.throwIfAborted();
    const byPerson = Map.groupBy(this.#aside, ({ userId }) => userId);
    const people = [...byPerson].flatMap(([id, own]) => (own.length >= asideOfOneMax ? [id] : []));
    const wanted = { ...wish, dueMs: this.#dueMs, people, ids: this.#aside.map(({ id }) => id) };
    const { db } = this.#deps;
    const part = await db.transaction((tx) => this.#kind.release(tx, this.#deps, wanted), this.#signal);
    this.#released += part.released;
    this.#told += part.told;
    return part.found;
  }

  /** Whether anything else could be told: the newest of somebody else's, each tried once, or more of anybody's, from either end. */
  async #canTell(): Promise<boolean> {
    const ids = this.#aside.map(({ id }) => id);
    const people = [...new Set(this.#aside.map(({ userId }) => userId))];
    const others = await this.#tryEach(
      () => ({ people, ids, newestFirst: true }),
      (failed) => {
        people.push(failed.userId);
        ids.push(failed.id);
      },
    );
    if (others) return true;
    return this.#tryEach(
      (trials) => ({ people: [], ids, newestFirst: trials % 2 === 1 }),
      (failed) => {
        ids.push(failed.id);
      },
    );
  }

  /** Tries one after the other until one can be told, there is none left, or so many cannot. */
  async #tryEach(next: (trials: number) => Which, onFailed: (failed: Due) => void): Promise<boolean> {
    for (let trials = 0; trials < trialsMax && this.#cleared < clearedMax;) {
      const { tried, outcome } = await this.#tryOne(next(trials));
      if (outcome === "told") return true;
      if (tried === undefined) return false;
      if (outcome === "failed") {
        onFailed(tried);
        trials++;
      } else this.#cleared++;
    }
    return false;
  }

  /** Of what could be told nobody is told: more of the same people may come before it. */
  async #tryOne(
    which: Which,
  ): Promise<{ readonly tried: Due | undefined; readonly outcome: "told" | "done" | "failed" }> {
    this.#signal.throwIfAborted();
    let tried: Due | undefined;
    const onDue = ([one]: readonly Due[]): void => void (tried = one);
    const wanted = { ...which, limit: 1, dueMs: this.#dueMs, onDue };
    const back = new Error("taken back");
    const trial = this.#deps.db.transaction(async (tx) => {
      const part = await this.#kind.release(tx, this.#deps, wanted);
      if (part.told > 0) throw back;
      return part.released;
    }, this.#signal);
    try {
      this.#released += await trial;
      return { tried, outcome: "done" };
    } catch (error) {
      if (error === back) return { tried, outcome: "told" };
      if (this.#isOver(error) || tried === undefined) throw error;
      return { tried, outcome: "failed" };
    }
  }

  async #putOff(): Promise<void> {
    const until = new Date(this.#dueMs + putOffMs);
    await this.#deps.db.transaction(
      (tx) => tx.query(this.#kind.putOffSql, [arrayLiteral(this.#aside.map(({ id }) => id)), until]),
      this.#signal,
    );
  }

  /** No row is to blame: it is to end, the database is away, or has not the tables that this code knows. */
  #isOver(error: unknown): boolean {
    return this.#signal.aborted || isPassingDbError(error) || isSchemaFault(error);
  }
}
