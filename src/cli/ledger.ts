import { moment } from "./table.ts";
import { BadNewsError, type Verb, jsonOption, program } from "./verb.ts";

export const ledgerReconcile: Verb = {
  name: "ledger reconcile",
  summary: "compute the ledger anew, and halt payouts when it does not add up",
  usage: "",
  example: "ledger reconcile",
  options: { json: jsonOption },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const found = await backstage.ledger.reconcile();
    const { mismatch_count: count, mismatches, halted, accounts, transfers } = found;
    if (args.flag("json")) terminal.json(found);
    else if (count === 0)
      terminal.print(`${some(accounts, "account")} and ${some(transfers, "transfer")} add up.`);
    else {
      terminal.table(
        ["law", "place", "stands", "ought"],
        mismatches.map(({ law, place, stands, ought }) => [law, place, stands ?? "-", ought ?? "-"]),
      );
      const more = count - mismatches.length;
      if (more > 0) terminal.notice(`And ${more} more.`);
    }
    if (count === 0) return;
    const begin = `The ledger has ${some(count, "mismatch", "es")}`;
    throw new BadNewsError(
      halted
        ? `${begin}: payouts are halted. Find out why, then: ${program} ${ledgerLift.example}`
        : `${begin}, and payouts GO ON: the halt could not be written. Try again: ${program} ${ledgerReconcile.example}`,
    );
  },
};

export const ledgerLift: Verb = {
  name: "ledger lift",
  summary: "let payouts be made again that reconciling has halted",
  usage: "",
  example: "ledger lift",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }) => {
    await using backstage = await openBackstage();
    const { halt, mismatch_count: count } = await backstage.ledger.lift();
    if (halt === null) return terminal.notice("Payouts are not halted.");
    terminal.print(
      `Payouts are made again. They were halted since ${moment(new Date(halt.since))}: ${halt.why}`,
    );
    if (count === null || count === 0) return;
    terminal.notice(
      `The last reconciling found ${some(count, "mismatch", "es")}, and lifting mends nothing: they halt payouts again within a day.`,
    );
  },
};

function some(count: number, what: string, plural = "s"): string {
  return `${count} ${what}${count === 1 ? "" : plural}`;
}
