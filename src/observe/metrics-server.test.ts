import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "../lib/logger.ts";
import { startMetricsServer } from "./metrics-server.ts";
import { createMetrics } from "./metrics.ts";

const log = createLogger("silent");
const host = "127.0.0.1";

test("the page is Prometheus text at /metrics and nothing is anywhere else", async () => {
  const metrics = createMetrics({ process: true });
  metrics.requests.meter("GET", "/a").record(200, 0.003);
  const server = await startMetricsServer({ metrics, log }, { host, port: 0 });
  assert.ok(server !== undefined);
  const url = `http://${host}:${server.address.port}`;
  const page = await fetch(`${url}/metrics`);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const text = await page.text();
  assert.match(text, /^http_requests_total\{method="GET",route="\/a",status="200"\} 1$/m);
  assert.match(text, /^process_cpu_seconds_total /m);
  assert.equal((await fetch(`${url}/metrics?x=1`)).status, 200);
  const root = await fetch(`${url}/`, { redirect: "manual" });
  assert.deepEqual([root.status, root.headers.get("location")], [302, "/metrics"]);
  assert.equal((await fetch(`${url}/metrics/x`)).status, 404);
  const posted = await fetch(`${url}/metrics`, { method: "POST", body: "x" });
  assert.equal(posted.status, 405);
  assert.equal(posted.headers.get("allow"), "GET, HEAD");
  await server.close();
});

test("a failing gauge is 500 and does not end the server", async () => {
  const metrics = createMetrics({ process: false });
  const server = await startMetricsServer(
    {
      metrics: {
        registry: Object.assign(metrics.registry, { metrics: () => Promise.reject(new Error("no")) }),
      },
      log,
    },
    { host, port: 0 },
  );
  assert.ok(server !== undefined);
  const response = await fetch(`http://${host}:${server.address.port}/metrics`);
  assert.equal(response.status, 500);
  assert.equal(await response.text(), "500\n");
  await server.close();
});

test("without a port there is no server", async () => {
  const metrics = createMetrics({ process: false });
  assert.equal(await startMetricsServer({ metrics, log }, { host, port: undefined }), undefined);
});

test("a port that is taken is explained with the option's name", async () => {
  const metrics = createMetrics({ process: false });
  const server = await startMetricsServer({ metrics, log }, { host, port: 0 });
  assert.ok(server !== undefined);
  const { port } = server.address;
  await assert.rejects(startMetricsServer({ metrics, log }, { host, port }), {
    name: "StartupError",
    message: `port ${port} is already taken by another program; choose another with METRICS_PORT=${port + 1}`,
  });
  await server.close();
});
