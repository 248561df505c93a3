import { type Verb, jsonOption, wordOf } from "./verb.ts";

const replayStarts = ["first", "head"] as const;

export const consumerList: Verb = {
  name: "consumer list",
  summary: "list the consumer groups with their lag",
  usage: "",
  example: "consumer list",
  options: { json: jsonOption },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const groups = await backstage.consumers.list();
    if (args.flag("json")) return terminal.json(groups);
    terminal.table(
      ["group", "lag", "lag s", "parked", "dead", "owners"],
      groups.map((state) => [
        state.group,
        state.lagEntries,
        Math.round(state.lagSeconds),
        state.parked,
        state.dead,
        state.owners,
      ]),
    );
  },
};

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
