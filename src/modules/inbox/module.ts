import type { Deps, Module } from "../../deps.ts";
import { dropOldMonths, makeMonthsAhead } from "./months.ts";
import { createProjection } from "./projection.ts";
import { inboxRoutes } from "./routes.ts";
import { type Sources, createSources } from "./sources.ts";

/** Messages from outside messengers become dialogs. */
export function createInbox(deps: Deps): Module & { readonly sources: Sources } {
  const sources = createSources(deps);
  const { clock, config, db, log } = deps;
  return {
    name: "inbox",
    sources,
    routes: inboxRoutes({ ...deps, sources }),
    consumers: [createProjection(deps)],
    timers: [
      {
        name: "inbox months",
        everyMs: 60_000,
        run: async () => {
          await makeMonthsAhead(db, clock.now());
          const dropped = await dropOldMonths(db, {
            keepMonths: config.inboxRetentionMonths,
            nowMs: clock.now(),
          });
          if (dropped.length > 0) log.info({ tables: dropped }, "old messages dropped");
        },
      },
    ],
  };
}
