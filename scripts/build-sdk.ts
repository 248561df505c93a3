import { spawnSync } from "node:child_process";
import { cp, glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { examplesOf, hasSchemas, withPublishedImports, withoutSchemas } from "./sdk-declarations.ts";

/**
 * Builds the client as a package, `dist/tidings-client`: JavaScript with declarations, and of the protocol the files
 * that it needs. Then tries it as somebody who has nothing else: the examples of the documents compile against it, and
 * Node loads every module that it exports.
 */
const root = path.join(import.meta.dirname, "..");
const target = path.join(root, "dist/tidings-client");
const documents = ["sdk/README.md", "docs/sdk.md"];

await rm(target, { recursive: true, force: true });
compile(["-p", path.join(root, "sdk/tsconfig.build.json"), "--outDir", target]);
await finishDeclarations();
await cp(path.join(root, "sdk/package.json"), path.join(target, "package.json"));
await cp(path.join(root, "sdk/README.md"), path.join(target, "README.md"));
await cp(path.join(root, "LICENSE"), path.join(target, "LICENSE"));
await tryIt();
console.log(`${path.relative(root, target)} is built: npm publish ./dist/tidings-client`);

function compile(args: readonly string[]): void {
  run(path.join(root, "node_modules/.bin/tsc"), args, root);
}

/** Ends the build when the program fails. */
function run(program: string, args: readonly string[], cwd: string): void {
  const { status, error } = spawnSync(program, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (status === 0) return;
  console.error(`${path.basename(program)} failed${error === undefined ? "" : `: ${error.message}`}`);
  process.exit(1);
}

async function finishDeclarations(): Promise<void> {
  for await (const name of glob("**/*.d.ts", { cwd: target })) {
    const file = path.join(target, name);
    const text = await readFile(file, "utf8");
    await writeFile(file, withPublishedImports(hasSchemas(text) ? withoutSchemas(text) : text));
    if (hasSchemas(text)) await writeFile(file.replace(/\.d\.ts$/, ".js"), "export {};\n");
  }
}

async function tryIt(): Promise<void> {
  // Away from here, where nothing else can be found by accident.
  const away = await mkdtemp(path.join(os.tmpdir(), "tidings-client-"));
  try {
    await cp(target, path.join(away, "node_modules/tidings-client"), { recursive: true });
    await writeFile(path.join(away, "package.json"), JSON.stringify({ type: "module", private: true }));
    await tryTypes(away);
    await tryModules(away);
  } finally {
    await rm(away, { recursive: true, force: true });
  }
}

async function tryTypes(away: string): Promise<void> {
  const texts = await Promise.all(documents.map((file) => readFile(path.join(root, file), "utf8")));
  const examples = texts.flatMap(examplesOf);
  for (const [i, code] of examples.entries()) {
    await writeFile(path.join(away, `example-${i + 1}.ts`), `${code}export {};\n`);
  }
  const compilerOptions = {
    target: "esnext",
    module: "nodenext",
    lib: ["esnext", "dom"],
    types: [],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  };
  await writeFile(
    path.join(away, "tsconfig.json"),
    JSON.stringify({
      compilerOptions,
      include: ["*.ts", "node_modules/tidings-client/**/*.d.ts"],
      exclude: [],
    }),
  );
  compile(["-p", away]);
  console.log(`${examples.length} examples compile against it`);
}

async function tryModules(away: string): Promise<void> {
  const manifest = JSON.parse(await readFile(path.join(root, "sdk/package.json"), "utf8")) as {
    readonly exports: Readonly<Record<string, unknown>>;
  };
  const names = Object.keys(manifest.exports)
    .filter((name) => !name.includes("*"))
    .map((name) => path.posix.join("tidings-client", name));
  const code = names.map((name) => `await import(${JSON.stringify(name)});`).join("\n");
  run(process.execPath, ["--input-type=module", "-e", code], away);
  console.log(`Node loads its ${names.length} modules`);
}
