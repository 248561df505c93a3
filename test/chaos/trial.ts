import { Account } from "./report.ts";
import { Stage } from "./stage.ts";

/** Sentences about what went wrong that are shown; those after them say hardly more. */
const brokenShown = 20;

/** What every run has: a stage, its clients' end, the account of what went wrong, and an end that leaves nothing behind. */
export class Trial {
  readonly account = new Account();
  readonly stage = new Stage();
  /** Clients begin nothing new. */
  readonly stop = new AbortController();
  /** Clients do not wait for what they have begun either. */
  readonly giveUp = new AbortController();
  #interrupted = false;

  /** Plays to the end, or until a signal comes. The exit code of the process says whether every invariant held. */
  async carryOut(play: () => Promise<void>): Promise<void> {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        console.log(`${signal}: tidying up`);
        this.#interrupted = true;
        void this.#tidyUp().then(() => process.exit(130));
      });
    }
    const { broken } = this.account;
    try {
      await play();
    } catch (error) {
      broken.unshift(`the run itself failed: ${error instanceof Error ? error.stack : String(error)}`);
    } finally {
      if (!this.#interrupted) this.#report();
      await this.#tidyUp();
    }
    process.exitCode = broken.length === 0 ? 0 : 1;
  }

  #report(): void {
    const { broken } = this.account;
    if (broken.length === 0) return console.log("every invariant held");
    const shown = broken.slice(0, brokenShown).map((sentence) => `  - ${sentence}`);
    console.log(`BROKEN (${broken.length}):\n${shown.join("\n")}\n${this.stage.lastWords(40)}`);
  }

  async #tidyUp(): Promise<void> {
    this.stop.abort();
    this.giveUp.abort();
    await this.stage.tidyUp();
  }
}
