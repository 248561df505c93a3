import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Acknowledged, Answer, Command, Load, LoadResult, PrepareCommand } from "./load.ts";

/** The load generator, in a process of its own so that it shares no event loop with what it measures. */
export class Generator {
  readonly #child: ChildProcess;
  #onAnswer: ((answer: Answer) => void) | undefined;

  constructor() {
    this.#child = fork(path.join(import.meta.dirname, "generator-process.ts"));
    this.#child.on("message", (answer: Answer) => this.#onAnswer?.(answer));
    this.#child.on("exit", () => this.#onAnswer?.({ kind: "fault", detail: "it has ended" }));
  }

  /** Builds requests that were never sent before; those from before are forgotten. */
  async prepare(command: Omit<PrepareCommand, "kind">): Promise<void> {
    await this.#ask({ kind: "prepare", ...command }, "prepared");
  }

  async run(load: Omit<Load, "kind">): Promise<LoadResult> {
    return (await this.#ask({ kind: "run", ...load }, "result")).result;
  }

  /** All that was accepted of what was not repeated. */
  acknowledged(): Promise<Acknowledged> {
    return this.#ask({ kind: "acknowledged" }, "acknowledged");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#child.connected) return;
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }

  /** One command at a time. */
  async #ask<K extends Answer["kind"]>(command: Command, kind: K): Promise<Extract<Answer, { kind: K }>> {
    const answer = await new Promise<Answer>((resolve) => {
      this.#onAnswer = resolve;
      this.#child.send(command);
    });
    if (answer.kind !== kind) {
      throw new Error(`load generator: ${answer.kind === "fault" ? answer.detail : answer.kind}`);
    }
    return answer as Extract<Answer, { kind: K }>;
  }
}
