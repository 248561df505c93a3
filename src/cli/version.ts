import { version as number } from "../http/version.ts";
import type { Verb } from "./verb.ts";

export const version: Verb = {
  name: "version",
  summary: "print the version of Tidings and of Node.js",
  usage: "",
  example: "version",
  options: {},
  settings: false,
  run: async ({ terminal }) => terminal.print(`tidings ${number} (node ${process.versions.node})`),
};
