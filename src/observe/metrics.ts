import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { type RequestMetrics, createRequestMetrics } from "./request-metrics.ts";

/** The Prometheus registry of this process, and the instruments that the rooms share. */
export type Metrics = {
  readonly registry: Registry;
  readonly requests: RequestMetrics;
  readonly appendedEntries: Counter;
  readonly appendDuration: Histogram;
  readonly appendBatchEntries: Histogram;
  readonly consumedEntries: Counter<"group">;
  readonly parkedEntries: Counter<"group">;
  readonly deadLetters: Counter<"group">;
  readonly messages: Counter<"module">;
  readonly webPushes: Counter<"outcome">;
  readonly gateway: GatewayMetrics;
};

/** What the gateway counts. */
export type GatewayMetrics = {
  readonly connections: Gauge;
  readonly closed: Counter<"reason">;
  /** An entry that went to three readers counts three. */
  readonly deliveries: Counter;
  /** Readers that missed too much to be brought back. */
  readonly limited: Counter;
};

const latencyBucketsS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** Creates a registry of its own, so that several servers can live in one test process. */
export function createMetrics(options: { readonly process: boolean }): Metrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requests: createRequestMetrics(registry, latencyBucketsS),
    appendedEntries: new Counter({
      name: "eventlog_appended_entries_total",
      help: "Entries made durable by this process",
      registers,
    }),
    appendDuration: new Histogram({
      name: "eventlog_append_duration_seconds",
      help: "Time of a group commit",
      buckets: latencyBucketsS,
      registers,
    }),
    appendBatchEntries: new Histogram({
      name: "eventlog_append_batch_entries",
      help: "Entries per group commit",
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      registers,
    }),
    consumedEntries: new Counter({
      name: "eventlog_consumed_entries_total",
      help: "Entries handled by a group",
      labelNames: ["group"],
      registers,
    }),
    parkedEntries: new Counter({
      name: "eventlog_parked_entries_total",
      help: "Entries parked: those that failed, and those that wait behind one",
      labelNames: ["group"],
      registers,
    }),
    deadLetters: new Counter({
      name: "eventlog_dead_letters_total",
      help: "Entries given up after the last attempt",
      labelNames: ["group"],
      registers,
    }),
    messages: new Counter({
      name: "messages_total",
      help: "Messages stored",
      labelNames: ["module"],
      registers,
    }),
    webPushes: new Counter({
      name: "web_pushes_total",
      help: "Notifications due as web push to a browser, by what became of them",
      labelNames: ["outcome"],
      registers,
    }),
    gateway: createGatewayMetrics(registers),
  };
}

function createGatewayMetrics(registers: Registry[]): GatewayMetrics {
  return {
    connections: new Gauge({
      name: "websocket_connections_active",
      help: "WebSockets that are open and signed in",
      registers,
    }),
    closed: new Counter({
      name: "websocket_closed_total",
      help: "WebSockets that the server closed",
      labelNames: ["reason"],
      registers,
    }),
    deliveries: new Counter({
      name: "gateway_deliveries_total",
      help: "Entries written to readers",
      registers,
    }),
    limited: new Counter({
      name: "gateway_limited_total",
      help: "Readers that were told to read their state anew",
      registers,
    }),
  };
}
