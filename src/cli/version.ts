import { readFile } from "node:fs/promises";
import type { Verb } from "./verb.ts";

export const version: Verb = {
  name: "version",
  summary: "print the version of Tidings and of Node.js",
  usage: "",
  example: "version",
  options: {},
  settings: false,
  run: async ({ terminal }) =>
    terminal.print(`tidings ${await readVersion()} (node ${process.versions.node})`),
};

export async function readVersion(): Promise<string> {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
