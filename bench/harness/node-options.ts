import { readFileSync } from "node:fs";
import path from "node:path";

const packageFile = path.join(import.meta.dirname, "../../package.json");

/** The options of Node.js with which `npm start` begins: what is measured is what people run. */
export function startOptions(): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(packageFile, "utf8")) as {
    readonly scripts: { readonly start: string };
  };
  return scripts.start.split(" ").filter((word) => word.startsWith("--"));
}
