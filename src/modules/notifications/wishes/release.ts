import type { Deps } from "../../../deps.ts";
import { arrayLiteral, isPassingDbError, isSchemaFault } from "../../../lib/db.ts";
import type { ExpireDeps } from "../expire.ts";
import { type Due, type Wanted, closePart, releasePart } from "./release-parts.ts";

/** Notifications that one transaction releases, and digests that one closes. */
export const releaseBatchMax = 1_000;
export const digestBatchMax = 100;
/** What cannot be told is tried again after so long, milliseconds. */
export const putOffMs = 600_000;
/** People whom one run leaves aside, of each kind, because something cannot be told to them; at the next it looks whether anything can. */
export const asideMax = 20;
/** People from the other end to whom it tries to tell something, before it takes that for nobody's fault. */
export const trialsMax = 20;

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
 * cannot be told holds up nobody else: it is found by halving, its person left aside, and it is put off when others can be
 * told something. When nobody can, of so many who were tried, it is nobody's fault: this rejects, and the next run
 * tries all of them again. So it does while the database is away.
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

/** One run over what is due of one kind. */
class Release {
  readonly #deps: ReleaseDeps;
  readonly #kind: Kind;
  readonly #dueMs: number;
  readonly #signal: AbortSignal;
  /** What cannot be told, and whose it is: of each person one, for the rest of theirs waits for the next run. */
  readonly #aside: Due[] = [];
  #released = 0;

  constructor(deps: ReleaseDeps, kind: Kind, dueMs: number, signal: AbortSignal) {
    this.#deps = deps;
    this.#kind = kind;
    this.#dueMs = dueMs;
    this.#signal = signal;
  }

  async run(): Promise<number> {
    try {
      await this.#runToEnd();
    } catch (error) {
      if (this.#isOver(error)) throw error;
      // More cannot be told than are looked for one by one. One from the other end shows whether it is their fault.
      if (this.#released === 0) await this.#tryOthers(error);
      await this.#putOff();
      throw error;
    }
    if (this.#released > 0) await this.#putOff();
    return this.#released;
  }

  async #runToEnd(): Promise<void> {
    const { batchMax } = this.#kind;
    for (let limit = batchMax, found = true; found;) {
      let due: readonly Due[] = [];
      try {
        found = await this.#releaseSome({ limit, onDue: (some) => (due = some) });
        limit = Math.min(limit * 2, batchMax);
      } catch (error) {
        const [only] = due;
        if (this.#isOver(error) || only === undefined || this.#aside.length >= asideMax) throw error;
        if (due.length > 1) limit = Math.ceil(due.length / 2);
        else {
          this.#deps.log.error(
            { err: error, notification: only.id },
            "a notification that was held cannot be told",
          );
          this.#aside.push(only);
          limit = batchMax;
        }
      }
    }
  }

  /** Resolves with whether there was anything. */
  async #releaseSome(wish: Pick<Wanted, "limit" | "onDue">): Promise<boolean> {
    this.#signal.throwIfAborted();
    const wanted = { ...wish, dueMs: this.#dueMs, aside: this.#aside.map(({ userId }) => userId) };
    const { db } = this.#deps;
    const part = await db.transaction((tx) => this.#kind.release(tx, this.#deps, wanted), this.#signal);
    this.#released += part.released;
    return part.found;
  }

  /** Rejects when nothing of others can be told either. It is not told: more of the same people may come before it. */
  async #tryOthers(error: unknown): Promise<void> {
    const aside = this.#aside.map(({ userId }) => userId);
    for (let trials = 0; trials < trialsMax; trials++) {
      let tried: number | undefined;
      const onDue = ([one]: readonly Due[]): void => void (tried = one?.userId);
      const wanted = { limit: 1, newestFirst: true, dueMs: this.#dueMs, aside, onDue };
      try {
        await this.#tryOnly(wanted);
        return;
      } catch (fault) {
        if (this.#isOver(fault) || tried === undefined) throw fault;
        aside.push(tried);
      }
    }
    throw error;
  }

  async #tryOnly(wanted: Wanted): Promise<void> {
    const back = new Error("it could be told");
    const trial = this.#deps.db.transaction(async (tx) => {
      const { found } = await this.#kind.release(tx, this.#deps, wanted);
      throw found ? back : new Error("nobody else is to be told anything");
    }, this.#signal);
    await trial.catch((error: unknown) => {
      if (error !== back) throw error;
    });
  }

  async #putOff(): Promise<void> {
    if (this.#aside.length === 0) return;
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
