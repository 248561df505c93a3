import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { stopProcess } from "../harness/server-process.ts";
import type { SendAnswer, SendLoad, SendResult } from "./send-load.ts";

/** Sends chat messages as clients do, in a process of its own. */
export class ChatSender {
  readonly #child: ChildProcess = fork(path.join(import.meta.dirname, "send-process.ts"));

  /** One load at a time. */
  async send(load: SendLoad): Promise<SendResult> {
    const answer = await new Promise<SendAnswer>((resolve) => {
      const ended = (): void => resolve({ kind: "fault", detail: "it has ended" });
      this.#child.once("exit", ended);
      this.#child.once("message", (message: SendAnswer) => {
        this.#child.off("exit", ended);
        resolve(message);
      });
      this.#child.send(load);
    });
    if (answer.kind === "fault") throw new Error(`chat sender: ${answer.detail}`);
    return answer.result;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return stopProcess(this.#child, () => this.#child.disconnect());
  }
}
