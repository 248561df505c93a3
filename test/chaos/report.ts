import type { Findings } from "./findings.ts";
import type { Ledger } from "./ledger.ts";
import { type Round, type RoundResult, readyLimitMs } from "./rounds.ts";

/** What went wrong, in sentences; the run fails when there is any. */
export class Account {
  readonly broken: string[] = [];

  require(holds: boolean, sentence: string): void {
    if (!holds) this.broken.push(sentence);
  }

  /** Findings of one place where messages lie. */
  requireNone(place: string, findings: Findings): void {
    for (const [what, ids] of Object.entries(findings) as [keyof Findings, readonly string[]][]) {
      this.require(ids.length === 0, `${place}: ${ids.length} messages ${what}, such as ${ids[0]}`);
    }
  }
}

export function roundLine(number: number, { round, result, drainedMs }: Played, checked: string): string {
  const { victim, againAfterMs } = round;
  const ready = result.readyMs === undefined ? "never ready" : `ready in ${Math.round(result.readyMs)} ms`;
  const drained = drainedMs === undefined ? "lagging" : `caught up in ${Math.round(drainedMs)} ms`;
  const when = againAfterMs === undefined ? "under traffic" : `and again ${againAfterMs} ms later`;
  const inFlight = `${result.inFlight} in flight`;
  return [
    `${String(number).padStart(2)}. ${victim.padEnd(8)} killed ${when.padEnd(22)}`,
    inFlight.padEnd(12),
    ready.padEnd(17),
    drained.padEnd(21),
    checked,
  ].join("  ");
}

export type Ledgered = {
  readonly ledger: Ledger;
  readonly stored: number;
  readonly inbox: Findings;
  readonly log: Findings;
  readonly orphans: number;
  readonly seconds: number;
};

export function ledgerLines(run: Ledgered): string[] {
  const { ledger, inbox, log } = run;
  const answers = [...ledger.answers].sort(([a], [b]) => a - b).map(([status, n]) => `${n} × ${status}`);
  const rows: readonly (readonly [string, string | number])[] = [
    ["sent", ledger.messages.length],
    ["acknowledged", ledger.acknowledged],
    ["repeated", ledger.requests - ledger.messages.length],
    ["answers", `${answers.join(", ")}, ${ledger.unknown} × none`],
    ["stored", run.stored],
    ["lost", `${inbox.lost.length} (log ${log.lost.length})`],
    ["doubled", `${inbox.doubled.length} (log ${log.doubled.length})`],
    ["invented", `${inbox.invented.length} (log ${log.invented.length})`],
    ["out of order", `${inbox.disordered.length} (log ${log.disordered.length})`],
    ["orphans", run.orphans],
    ["seconds", Math.round(run.seconds)],
  ];
  return rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`);
}

export type Played = {
  readonly round: Round;
  readonly result: RoundResult;
  /** From the round's check on until the consumers had handled all that the log held then. */
  readonly drainedMs: number | undefined;
};

/** How long it took, per victim: to be ready again, and for the consumers to catch up after that. */
export function timeLines(played: readonly Played[]): string[] {
  return (["server", "postgres"] as const).flatMap((victim) => {
    const rounds = played.filter(({ round }) => round.victim === victim);
    if (rounds.length === 0) return [];
    const ready = spread(rounds.map(({ result }) => result.readyMs));
    const drained = spread(rounds.map(({ drainedMs }) => drainedMs));
    return [
      `  ${victim} killed in ${rounds.length} rounds`,
      `    ready      ${ready} (bound ${readyLimitMs})`,
      `    caught up  ${drained}`,
    ];
  });
}

function spread(times: readonly (number | undefined)[]): string {
  const sorted = times.map((ms) => ms ?? Infinity).sort((a, b) => a - b);
  const [min, median, max] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].map((ms) =>
    Math.round(ms ?? 0),
  );
  return `min ${min}, median ${median}, max ${max} ms`;
}
