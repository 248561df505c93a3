import { loadSettings } from "./settings.ts";
import { type Verb, jsonOption } from "./verb.ts";

export const config: Verb = {
  name: "config",
  summary: "check the configuration and show what is set; secrets are not shown",
  usage: "",
  example: "config --example > .env",
  options: {
    example: { type: "flag", doc: "print every option with its default, as a file .env" },
    json: jsonOption,
  },
  settings: true,
  run: async (context, args) => {
    const { terminal, environment } = context;
    if (args.flag("example")) {
      const { envExample } = await import("../config.ts");
      return terminal.print(envExample().trimEnd());
    }
    const config = await context.readConfig();
    (await import("../access/development.ts")).requireSafeBinding(config);
    const dataDir = await context.dataDirOf(config);
    const rows = (await loadSettings()).map(({ env, secret, shownDefault }) => {
      const set = environment[env]?.trim() ?? "";
      const value = set === "" ? shownDefault : secret ? "(secret)" : set;
      return {
        option: env,
        value: env === "DATA_DIR" ? dataDir : value,
        from: set === "" ? "default" : "set",
      };
    });
    const { ignoredOptions } = await import("../config.ts");
    for (const name of ignoredOptions(environment)) terminal.notice(`${name} is set, and not used yet`);
    if (args.flag("json")) return terminal.json(rows);
    terminal.table(
      ["option", "value", "from"],
      rows.map(({ option, value, from }) => [option, value, from]),
    );
  },
};
