import { Type } from "typebox";
import type { Route } from "../deps.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/logger.ts";
import { within } from "../lib/aborted.ts";

/** What a check found. Figures are shown by name; `detail` is for strangers to read, so no addresses or SQL in it. */
export type CheckResult = {
  readonly ok: boolean;
  readonly detail?: string;
  readonly [figure: string]: number | boolean | string | undefined;
};

export type HealthCheck = { readonly name: string; check(): Promise<CheckResult> };
export type HealthChecks = readonly HealthCheck[];

export type Health = {
  /** The results, at most a second old. However many ask, each check runs once at a time. */
  results(): Promise<{ readonly ok: boolean; readonly checks: Readonly<Record<string, CheckResult>> }>;
};

type HealthOptions = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly timeoutMs?: number;
};

const resultsAgeMaxMs = 1_000;
const checkTimeoutMs = 2_000;

/** Runs the checks side by side, each with a time limit. */
export function createHealth(checks: HealthChecks, options: HealthOptions): Health {
  const { clock, log, timeoutMs = checkTimeoutMs } = options;
  const runCheck = createRunner(timeoutMs, log);
  let last: ReturnType<Health["results"]> | undefined;
  let lastMs = -Infinity;
  let running = false;

  async function run(): ReturnType<Health["results"]> {
    running = true;
    try {
      const results = await Promise.all(
        checks.map(async (check) => [check.name, await runCheck(check)] as const),
      );
      return { ok: results.every(([, { ok }]) => ok), checks: Object.fromEntries(results) };
    } finally {
      running = false;
      lastMs = clock.now();
    }
  }

  return {
    results() {
      const ageMs = clock.now() - lastMs;
      const fresh = running || (ageMs >= 0 && ageMs < resultsAgeMaxMs);
      if (last === undefined || !fresh) last = run();
      return last;
    },
  };
}

function createRunner(timeoutMs: number, log: Logger): (check: HealthCheck) => Promise<CheckResult> {
  // A check that hangs is not started again on top of itself.
  const pending = new Map<string, Promise<CheckResult>>();

  async function start(check: HealthCheck): Promise<CheckResult> {
    try {
      return await check.check();
    } catch (error) {
      // What went wrong is for the log: this page is open to everyone.
      log.warn({ err: error, check: check.name }, "health check failed");
      return { ok: false, detail: "failed" };
    } finally {
      pending.delete(check.name);
    }
  }

  return async (check) => {
    const running = pending.get(check.name) ?? start(check);
    pending.set(check.name, running);
    return within(timeoutMs, running, () => ({ ok: false, detail: `no answer in ${timeoutMs} ms` }));
  };
}

const checkSchema = Type.Object(
  { ok: Type.Boolean(), detail: Type.Optional(Type.String()) },
  { additionalProperties: Type.Unknown() },
);
const checksSchema = Type.Record(Type.String(), checkSchema);
const readinessSchema = Type.Object({
  status: Type.Union([Type.Literal("ready"), Type.Literal("unready"), Type.Literal("draining")]),
  checks: checksSchema,
});
const summarySchema = Type.Object({
  status: Type.Union([Type.Literal("ok"), Type.Literal("degraded"), Type.Literal("draining")]),
  version: Type.String(),
  uptime_s: Type.Integer(),
  checks: checksSchema,
});

/** The routes of `/health`: open to everyone, and answered when everything else is refused. */
export function healthRoutes(options: {
  readonly health: Health;
  readonly version: string;
  readonly draining: () => boolean;
}): readonly Route[] {
  const { health, version, draining } = options;
  const shared = { method: "GET", scope: "open", tag: "health" } as const;
  return [
    {
      ...shared,
      path: "/health/live",
      summary: "Whether the process runs",
      responses: { 200: Type.Object({ status: Type.Literal("live") }) },
      handler: async () => ({ status: 200, json: '{"status":"live"}' }),
    },
    {
      ...shared,
      path: "/health/ready",
      summary: "Whether requests should be sent here",
      responses: { 200: readinessSchema, 503: readinessSchema },
      handler: async () => {
        const { ok, checks } = await health.results();
        const ready = ok && !draining();
        const status = draining() ? "draining" : ok ? "ready" : "unready";
        return { status: ready ? 200 : 503, body: { status, checks } };
      },
    },
    {
      ...shared,
      path: "/health",
      summary: "State, version and uptime for people",
      responses: { 200: summarySchema, 503: summarySchema },
      handler: async () => {
        const { ok, checks } = await health.results();
        const status = draining() ? "draining" : ok ? "ok" : "degraded";
        const body = { status, version, uptime_s: Math.floor(process.uptime()), checks };
        return { status: status === "ok" ? 200 : 503, body };
      },
    },
  ];
}

/** Whether the path is one of the probes, which no limit applies to. */
export function isHealthPath(path: string): boolean {
  return path === "/health" || path.startsWith("/health/");
}
