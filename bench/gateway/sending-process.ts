import { errorMessage } from "../../src/lib/errors.ts";
import type { Answer, Load, LoadResult } from "./load.ts";

/** Lets a process obey whoever has forked it: one load at a time. It ends with its parent. */
export function obeyLoads(port: number, send: (load: Load) => Promise<LoadResult>): void {
  process.on("message", (load: Load) => {
    void send(load)
      .then((result): Answer => ({ kind: "sent", result }))
      .catch((error: unknown): Answer => ({ kind: "fault", detail: errorMessage(error) }))
      .then((answer) => process.send?.(answer));
  });
  process.on("disconnect", () => process.exit());
  process.send?.({ kind: "ready", port } satisfies Answer);
}
