import type { GroupState } from "../eventlog/consumer-admin.ts";
import { groupView } from "../eventlog/views.ts";
import { type Verb, jsonOption, wordOf } from "./verb.ts";

const replayStarts = ["first", "head"] as const;

export const consumerList: Verb = {
  name: "consumer list",
  summary: "list the consumer groups with their lag",
  usage: "",
  example: "consumer list",
  options: {
    partitions: { type: "flag", doc: "show every partition of every group" },
    json: jsonOption,
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const groups = await backstage.consumers.list();
    if (args.flag("json")) return terminal.json(groups.map(groupView));
    if (groups.length === 0) {
      return terminal.notice("There are no consumer groups yet: a server with the role worker makes them.");
    }
    if (args.flag("partitions")) {
      return terminal.table(
        ["group", "partition", "lag", "lag s", "parked", "dead", "stopped"],
        groups.flatMap(({ group, partitions }) =>
          partitions.map((state) => [group, state.partition, ...figureCells(state), state.stopped ?? ""]),
        ),
      );
    }
    terminal.table(
      ["group", "lag", "lag s", "parked", "dead", "owners", "stopped"],
      groups.map((state) => [state.group, ...figureCells(state), state.owners, stoppedOf(state)]),
    );
  },
};

/** The cells of a row. */
function figureCells(state: Pick<GroupState, "lagEntries" | "lagSeconds" | "parked" | "dead">): number[] {
  return [state.lagEntries, Math.round(state.lagSeconds), state.parked, state.dead];
}

/** How many partitions stand still, and why: `1 expired, 2 full`. */
function stoppedOf({ partitions }: GroupState): string {
  const reasons = partitions.flatMap(({ stopped }) => stopped ?? []);
  const counts = Map.groupBy(reasons, (reason) => reason);
  return [...counts].map(([reason, { length }]) => `${length} ${reason}`).join(", ");
}

export const consumerReplay: Verb = {
  name: "consumer replay",
  summary: "let a group read the log again from its first entry, or skip to its end",
  usage: "GROUP",
  example: "consumer replay inbox --from first",
  options: {
    from: {
      type: "text",
      value: "PLACE",
      required: true,
      doc: "first: everything that is retained; head: only what comes from now on",
    },
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const from = wordOf(args.text("from") ?? "", "--from", replayStarts);
    const group = args.argument("GROUP");
    await using backstage = await openBackstage();
    await backstage.consumers.replay(group, { from });
    const what =
      from === "first" ? "reads the log again from its first entry" : "goes on at the end of the log";
    terminal.print(`The group "${group}" ${what}.`);
  },
};
