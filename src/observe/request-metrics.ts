import type { Metric, MetricValue, Registry } from "prom-client";

/** Counts and times the requests of one method and route. */
export type RequestMeter = { record(status: number, seconds: number): void };

export type RequestMetrics = {
  /** The meter of a method and a route; always the same one. Both become label values, so both come from fixed sets. */
  meter(method: string, route: string): RequestMeter;
};

type Tally = {
  readonly method: string;
  readonly route: string;
  /** Requests by status. */
  readonly byStatus: Map<number, { count: number }>;
  /** Requests per bucket, not cumulated; the last one is for everything slower. */
  readonly byBucket: Float64Array;
  sumS: number;
};

/**
 * `http_requests_total` and `http_request_duration_seconds`. The numbers are kept in plain fields and put into
 * Prometheus' shape only when somebody reads the page: the library's own instruments build a string of all labels
 * for every observation, which cost a tenth of the whole request.
 */
export function createRequestMetrics(registry: Registry, bucketsS: readonly number[]): RequestMetrics {
  const tallies = new Map<string, Tally & RequestMeter>();
  const used = (): readonly Tally[] => [...tallies.values()].filter(({ byStatus }) => byStatus.size > 0);
  register(registry, {
    name: "http_requests_total",
    help: "HTTP requests answered",
    type: "counter",
    values: () => used().flatMap(counterValues),
  });
  register(registry, {
    name: "http_request_duration_seconds",
    help: "Time from request to answer",
    type: "histogram",
    values: () => used().flatMap((tally) => histogramValues(tally, bucketsS)),
  });
  return {
    meter(method, route) {
      const key = `${method} ${route}`;
      let tally = tallies.get(key);
      if (tally === undefined) {
        tally = createTally(method, route, bucketsS);
        tallies.set(key, tally);
      }
      return tally;
    },
  };
}

function createTally(method: string, route: string, bucketsS: readonly number[]): Tally & RequestMeter {
  const byStatus = new Map<number, { count: number }>();
  const byBucket = new Float64Array(bucketsS.length + 1);
  return {
    method,
    route,
    byStatus,
    byBucket,
    sumS: 0,
    record(status, seconds) {
      const counted = byStatus.get(status);
      if (counted === undefined) byStatus.set(status, { count: 1 });
      else counted.count++;
      let bucket = 0;
      while (bucket < bucketsS.length && seconds > (bucketsS[bucket] ?? Infinity)) bucket++;
      byBucket[bucket] = (byBucket[bucket] ?? 0) + 1;
      this.sumS += seconds;
    },
  };
}

type Value = MetricValue<string> & { readonly metricName?: string };

function counterValues({ method, route, byStatus }: Tally): Value[] {
  return [...byStatus].map(([status, { count }]) => ({
    labels: { method, route, status: String(status) },
    value: count,
  }));
}

function histogramValues({ method, route, byBucket, sumS }: Tally, bucketsS: readonly number[]): Value[] {
  const name = "http_request_duration_seconds";
  let count = 0;
  const buckets = [...byBucket].map((inBucket, index) => {
    count += inBucket;
    const le = bucketsS[index] ?? "+Inf";
    return { labels: { le, method, route }, value: count, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { labels: { method, route }, value: sumS, metricName: `${name}_sum` },
    { labels: { method, route }, value: count, metricName: `${name}_count` },
  ];
}

type Source = {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "histogram";
  readonly values: () => Value[];
};

function register(registry: Registry, { values, ...description }: Source): void {
  const metric = {
    ...description,
    get: async () => ({ ...description, aggregator: "sum", values: values() }),
  };
  // The registry asks a metric for its name and its values and for nothing else; the types want the library's classes.
  registry.registerMetric(metric as unknown as Metric);
}
