import { Gauge, type Registry } from "prom-client";
import type { Deps } from "../../deps.ts";
import { within } from "../../lib/aborted.ts";

/** How long a look at the page of metrics waits for the figures, milliseconds. */
const readMaxMs = 2_000;

type Figures = { readonly halted: boolean; readonly suspended: number };

/**
 * Gauges of what somebody has to look into, asked for when somebody looks at the page. A database that refuses or does not answer
 * in time leaves the last figures.
 */
export function exposeFigures({ db, log, metrics }: Pick<Deps, "db" | "log" | "metrics">): void {
  const { registry } = metrics;
  let reading: Promise<Figures | undefined> | undefined;
  const read = async (): Promise<Figures | undefined> => {
    try {
      const { rows } = await db.query<Figures>(
        `select exists (select from ledger_halt) as halted,
                (select count(*) from wallet_payment where credited_to is null) as suspended`,
      );
      return rows[0];
    } catch (error) {
      log.debug({ err: error }, "the ledger could not be looked at");
      return undefined;
    }
  };
  const readOnce = (): Promise<Figures | undefined> => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  addGauge(registry, {
    name: "tidings_ledger_halted",
    help: "1 while no payouts are made, because the ledger did not add up",
    value: async () => (await within(readMaxMs, readOnce(), () => undefined))?.halted,
  });
  addGauge(registry, {
    name: "tidings_payments_in_suspense",
    help: "Payments that have come for nobody who could be credited, and wait to be assigned",
    value: async () => (await within(readMaxMs, readOnce(), () => undefined))?.suspended,
  });
}

function addGauge(
  registry: Registry,
  {
    name,
    help,
    value,
  }: {
    readonly name: string;
    readonly help: string;
    readonly value: () => Promise<number | boolean | undefined>;
  },
): void {
  // The preparation of a start may be repeated.
  if (registry.getSingleMetric(name) !== undefined) return;
  const gauge: Gauge = new Gauge({
    name,
    help,
    registers: [registry],
    async collect() {
      const now = await value();
      if (now !== undefined) gauge.set(Number(now));
    },
  });
}
