import type { DbAddress } from "../lib/db.ts";
import type { Logger } from "../lib/logger.ts";
import { Session } from "../lib/session.ts";

/** The advisory lock that the leader's session holds. */
const leaderLock = 7_319_204_553;

/**
 * Elects one process of the cluster for what must not run twice at the same time. The lock lives in a session of its
 * own: it is free again the moment that the process or its connection is gone.
 */
export class Leader {
  readonly #session: Session;
  #held = false;
  #lost = new AbortController();
  #asking: Promise<boolean> | undefined;

  constructor(address: DbAddress, log: Logger) {
    this.#session = new Session(address, {
      name: "leader",
      log,
      statementTimeoutMs: 5_000,
      onConnect: (client) => {
        client.on("end", () => this.#lose());
        return Promise.resolve();
      },
    });
  }

  /** Whether this process leads right now; tries to become the leader when nobody is. Who asks meanwhile is answered, too. */
  leads(): Promise<boolean> {
    // Asked twice at once, it would be elected twice, and the first to be told would not hear of the end.
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<boolean> {
    if (this.#held && this.#session.connected) {
      // A dead connection shows itself only when it is used.
      await this.#session.query({ text: "select 1" });
      return true;
    }
    const { rows } = await this.#session.query<{ locked: boolean }>({
      text: "select pg_try_advisory_lock($1) as locked",
      values: [leaderLock],
    });
    const held = rows[0]?.locked ?? false;
    if (held) this.#lost = new AbortController();
    this.#held = held;
    return held;
  }

  /** Aborted when this process stops leading. A new one for each time that it leads. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async close(): Promise<void> {
    this.#lose();
    await this.#session.close();
  }

  #lose(): void {
    if (this.#held) this.#lost.abort(new Error("this process leads no longer"));
    this.#held = false;
  }
}
