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
    const { deps, migrated } = backstage;
    const name = `The database "${deps.db.address.database}"`;
    const done =
      migrated.length === 0
        ? `${name} was up to date already.`
        : `${name} is up to date. Applied now: ${migrated.join(", ")}.`;
    context.terminal.print(done);
  },
};
