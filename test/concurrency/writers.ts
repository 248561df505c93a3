import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import type { Order, Report, WriterPlan } from "./writer.ts";
import type { Seen, Written } from "./violations.ts";

/** Writing processes that start together. Disposing ends them. */
export class Writers implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  /** Resolves when all of them stand ready. The first `tailing` of them read as well. */
  static async start(
    plan: Pick<WriterPlan, "address" | "kind" | "seed">,
    counts: { readonly writers: number; readonly tailing: number },
  ): Promise<Writers> {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const script = path.join(import.meta.dirname, "writer.ts");
    const children = Array.from({ length: counts.writers }, (_, writer) => {
      const own: WriterPlan = { ...plan, writer, seed: plan.seed + writer, tails: writer < counts.tailing };
      return fork(script, [JSON.stringify(own)], { env, execArgv: [] });
    });
    const writers = new Writers(children);
    await Promise.all(children.map(nextReport));
    return writers;
  }

  /** Lets all of them write at the same time; resolves with all that they wrote. */
  async write(writeMs: number): Promise<readonly Written[]> {
    const reports = await Promise.all(this.#children.map((child) => ask(child, { writeMs })));
    return reports.flatMap((report) =>
      typeof report === "object" && "written" in report ? report.written : [],
    );
  }

  /** What each process that reads has seen, read to the end. */
  async finish(tailing: number): Promise<readonly (readonly Seen[])[]> {
    const readers = this.#children.slice(0, tailing);
    const reports = await Promise.all(readers.map((child) => ask(child, { finish: true })));
    return reports.map((report) => (typeof report === "object" && "seen" in report ? report.seen : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        await new Promise((resolve) => {
          child.once("exit", resolve);
          child.kill("SIGKILL");
        });
      }),
    );
  }
}

function ask(child: ChildProcess, order: Order): Promise<Report> {
  const report = nextReport(child);
  child.send(order);
  return report;
}

function nextReport(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`a writer ended with code ${code}`));
    child.once("exit", onExit);
    child.once("message", (report: Report) => {
      child.off("exit", onExit);
      resolve(report);
    });
  });
}
