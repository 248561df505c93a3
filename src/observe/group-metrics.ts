import { Gauge, type Registry } from "prom-client";
import { within } from "../lib/aborted.ts";

/** Where a consumer group stands, as the page of metrics shows it. */
export type GroupFigures = {
  readonly group: string;
  readonly lagEntries: number;
  readonly lagSeconds: number;
  readonly partitions: readonly PartitionFigures[];
};

type PartitionFigures = {
  readonly partition: number;
  readonly lagEntries: number;
  readonly lagSeconds: number;
  /** Why nobody reads it until a person acts. */
  readonly stopped: string | undefined;
};

type Sample = { readonly labels: Readonly<Record<string, string | number>>; readonly value: number };

/** How long a look at the page waits for the figures, milliseconds: it is wanted most when the database hangs. */
const readMaxMs = 2_000;

/**
 * Gauges of the groups and their partitions, asked for when somebody looks: once for all of them. `read` answering with
 * undefined (the database refuses), or not in time, leaves the last figures. One that hangs is not started again on top
 * of itself.
 */
export function exposeGroups(
  registry: Registry,
  read: () => Promise<readonly GroupFigures[] | undefined>,
  maxMs = readMaxMs,
): void {
  let reading: ReturnType<typeof read> | undefined;
  const readOnce = (): ReturnType<typeof read> => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  for (const { name, help, labelNames, samples } of gauges) {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      async collect() {
        const groups = await within(maxMs, readOnce(), () => undefined);
        if (groups === undefined) return;
        gauge.reset();
        for (const { labels, value } of groups.flatMap(samples)) gauge.set(labels, value);
      },
    });
  }
}

const ofPartition = ["group", "partition"] as const;

const gauges: readonly {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly samples: (group: GroupFigures) => readonly Sample[];
}[] = [
  {
    name: "eventlog_group_lag_seconds",
    help: "Age of the oldest entry that a group has not looked at",
    labelNames: ["group"],
    samples: ({ group, lagSeconds }) => [{ labels: { group }, value: lagSeconds }],
  },
  {
    name: "eventlog_group_lag_entries",
    help: "Entries between a group's checkpoints and the log's end",
    labelNames: ["group"],
    samples: ({ group, lagEntries }) => [{ labels: { group }, value: lagEntries }],
  },
  {
    name: "eventlog_partition_lag_seconds",
    help: "Age of the oldest entry of a partition that a group has not looked at",
    labelNames: ofPartition,
    samples: ({ group, partitions }) =>
      partitions.map(({ partition, lagSeconds }) => ({ labels: { group, partition }, value: lagSeconds })),
  },
  {
    name: "eventlog_partition_lag_entries",
    help: "Entries of a partition between a group's checkpoint and the end",
    labelNames: ofPartition,
    samples: ({ group, partitions }) =>
      partitions.map(({ partition, lagEntries }) => ({ labels: { group, partition }, value: lagEntries })),
  },
  {
    name: "eventlog_partition_stopped",
    help: "1 for a partition that a group does not read until a person acts",
    labelNames: [...ofPartition, "reason"],
    samples: ({ group, partitions }) =>
      partitions.flatMap(({ partition, stopped }) =>
        stopped === undefined ? [] : { labels: { group, partition, reason: stopped }, value: 1 },
      ),
  },
];
