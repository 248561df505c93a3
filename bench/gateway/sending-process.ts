import { errorMessage } from "../../src/lib/errors.ts";
import type { Answer } from "./load.ts";

/** Lets a process obey whoever has forked it: one load at a time. It ends with its parent. */
export function obeyLoads<L, R>(port: number, send: (load: L) => Promise<R>): void {
  process.on("message", (load: L) => {
    void send(load)
      .then((result): Answer<R> => ({ kind: "sent", result }))
      .catch((error: unknown): Answer<R> => ({ kind: "fault", detail: errorMessage(error) }))
      .then((answer) => process.send?.(answer));
  });
  process.on("disconnect", () => process.exit());
  process.send?.({ kind: "ready", port } satisfies Answer<R>);
}
