import type { Deps, Module } from "../../deps.ts";
import { operationsRoutes } from "./routes.ts";

/** What people on call need of the event log over HTTP, and the log's housekeeping. */
export function createOperations(deps: Pick<Deps, "db" | "eventlog" | "log">): Module {
  return {
    name: "operations",
    routes: operationsRoutes(deps),
    consumers: [],
    timers: [{ name: "event log", everyMs: 60_000, run: () => deps.eventlog.maintain() }],
  };
}
