import type { Metrics } from "../observe/metrics.ts";

export type RouteMeter = ReturnType<Metrics["requests"]["meter"]>;

export type Meters = {
  /** The meter of a route; `path` is the pattern as registered, never a URL. */
  of(method: string, path: string): RouteMeter;
};

/** The route label of requests that no route answers. */
export const unmatchedRoute = "unmatched";

/** The status label of requests whose client left before the answer was written. */
export const clientGoneStatus = 499;

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Meters whose labels come from fixed sets: what a client can invent never becomes one. */
export function createMeters({ requests }: Pick<Metrics, "requests">): Meters {
  return {
    of: (method, path) => requests.meter(methods.has(method) ? method : "OTHER", path),
  };
}
