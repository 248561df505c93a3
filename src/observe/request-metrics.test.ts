import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram, Registry } from "prom-client";
import fc from "fast-check";
import { createRequestMetrics } from "./request-metrics.ts";

const bucketsS = [0.01, 0.1, 1];

test("requests are counted by method, route and status, and unused meters are not shown", async () => {
  const registry = new Registry();
  const metrics = createRequestMetrics(registry, bucketsS);
  metrics.meter("POST", "/b");
  metrics.meter("GET", "/a").record(200, 0.5);
  metrics.meter("GET", "/a").record(200, 0.5);
  metrics.meter("GET", "/a").record(404, 0.5);
  const lines = (await registry.metrics())
    .split("\n")
    .filter((line) => line.startsWith("http_requests_total"));
  assert.deepEqual(lines, [
    'http_requests_total{method="GET",route="/a",status="200"} 2',
    'http_requests_total{method="GET",route="/a",status="404"} 1',
  ]);
});

test("the durations read exactly as the library's own histogram writes them", async () => {
  const durations = fc.array(fc.constantFrom(0, 0.005, 0.01, 0.05, 0.1, 0.25, 1, 1.5, 30), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(durations, async (durations) => {
      const ours = new Registry();
      const meter = createRequestMetrics(ours, bucketsS).meter("GET", "/a");
      const theirs = new Registry();
      const histogram = new Histogram({
        name: "http_request_duration_seconds",
        help: "Time from request to answer",
        labelNames: ["method", "route"],
        buckets: bucketsS,
        registers: [theirs],
      });
      for (const seconds of durations) {
        meter.record(200, seconds);
        histogram.observe({ method: "GET", route: "/a" }, seconds);
      }
      const name = "http_request_duration_seconds";
      assert.equal(await ours.getSingleMetricAsString(name), await theirs.getSingleMetricAsString(name));
    }),
    { numRuns: 30 },
  );
});
