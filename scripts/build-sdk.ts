import path from "node:path";
import { buildPackage, tryPackage } from "./sdk-package.ts";

/** Builds the client as a package, `dist/tidings-client`, and tries it. */
const root = path.join(import.meta.dirname, "..");
const target = path.join(root, "dist/tidings-client");

try {
  await buildPackage(target);
  await tryPackage(target, (line) => console.log(line));
  console.log(`${path.relative(root, target)} is built: npm publish ./dist/tidings-client`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
