import type { Verb } from "./verb.ts";

export const migrate: Verb = {
  name: "migrate",
  summary: "bring the database up to this version, without starting the server",
  usage: "",
  example: "migrate",
  options: {},
  settings: true,
  run: async (context) => {
    await using backstage = await context.openBackstage({ mayCreate: true });
    const { address } = backstage.deps.db;
    context.terminal.print(`The database "${address.database}" is up to date.`);
  },
};
