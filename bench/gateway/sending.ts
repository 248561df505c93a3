import { type ChildProcess, fork } from "node:child_process";
import { stopProcess } from "../harness/server-process.ts";
import type { Answer, Load, LoadResult } from "./load.ts";

/** A process that sends messages when it is told to: a sender into the event log, or a peer that is its own sender. */
export class Sending<L extends object = Load, R = LoadResult> {
  readonly port: number;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.pid = child.pid ?? 0;
  }

  static async start<L extends object = Load, R = LoadResult>(
    file: string,
    args: readonly string[] = [],
  ): Promise<Sending<L, R>> {
    const child = fork(file, [...args]);
    const answer = await nextAnswer<R>(child);
    if (answer.kind !== "ready")
      throw new Error(`${file}: ${answer.kind === "fault" ? answer.detail : answer.kind}`);
    return new Sending<L, R>(child, answer.port);
  }

  async send(load: L): Promise<R> {
    const answered = nextAnswer<R>(this.#child);
    this.#child.send(load);
    const answer = await answered;
    if (answer.kind !== "sent") throw new Error(answer.kind === "fault" ? answer.detail : answer.kind);
    return answer.result;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return stopProcess(this.#child, () => this.#child.disconnect());
  }
}

function nextAnswer<R>(child: ChildProcess): Promise<Answer<R>> {
  return new Promise((resolve) => {
    const ended = (): void => resolve({ kind: "fault", detail: "the process has ended" });
    child.once("exit", ended);
    child.once("message", (answer: Answer<R>) => {
      child.off("exit", ended);
      resolve(answer);
    });
  });
}
