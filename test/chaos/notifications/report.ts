import type { Ledger, Told } from "./ledger.ts";

export type Run = {
  readonly ledger: Ledger;
  readonly people: number;
  readonly kills: number;
  readonly looks: number;
  readonly seconds: number;
  /** The longest time for which this process itself was busy with one thing, milliseconds. */
  readonly busyMs: number;
};

/** The account of a run, in lines. */
export function ledgerLines({ ledger, people, kills, looks, seconds, busyMs }: Run): readonly string[] {
  const { counts, faults, waits } = ledger;
  const all = [...ledger.people.values()].flatMap(({ told }) => [...told.values()]);
  const own = all.filter(({ kind }) => kind !== "shared");
  const has = (test: (told: Told) => boolean): number => own.filter(test).length;
  const digests = [...ledger.people.values()].flatMap((account) => [...account.digests.values()]);
  const gathered = digests.reduce((sum, count) => sum + count, 0);
  const { requests, accepted, refused, unknown } = counts;
  const rows: readonly (readonly [string, string | number])[] = [
    ["people", `${people}, two devices each: one in the seed's form, one with the client`],
    ["kills", kills],
    ["requests", `${requests}: ${accepted} accepted, ${refused} refused, ${unknown} unanswered`],
    [
      "told",
      `${own.length}, ${has(({ kind }) => kind === "brief")} of them brief, and ${counts.broadcasts} broadcasts`,
    ],
    ["held", `${counts.held}, ${gathered} of them in ${digests.length} digests; ${counts.wishes} wishes`],
    ["connections", `${counts.connections}, and ${counts.lives} lives of a client`],
    ["pushes", `${counts.pushed} in the seed's form, ${counts.shown} shown by clients`],
    [
      "reads",
      `${counts.reads} said and ${counts.readsOfAll} of all, ${counts.acked} acknowledgements, ${has(({ ackedMs }) => ackedMs !== undefined)} read`,
    ],
    ["looked at", `${looks} times`],
    ["heard after", `${spread(waits)}; this process was busy for up to ${Math.round(busyMs)} ms`],
    ["faults", faults.length],
    [
      "seconds",
      `${Math.round(seconds)}, of which this process worked ${Math.round(process.cpuUsage().user / 1e6)}`,
    ],
  ];
  return rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`);
}

function spread(waits: readonly number[]): string {
  const sorted = Float64Array.from(waits).sort();
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return `median ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, max ${at(1)} ms`;
}
