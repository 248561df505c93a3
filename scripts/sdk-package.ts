import { spawnSync } from "node:child_process";
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { examplesOf, hasSchemas, withPublishedImports, withoutSchemas } from "./sdk-declarations.ts";
import { library } from "./sdk-library.ts";

/** The client as a package: how it is built, and how it is tried. */
const root = path.join(import.meta.dirname, "..");

/** Documents whose examples have to compile. */
const documents = ["sdk/README.md"];

/** How somebody else's program compiles. */
const compilerOptions = {
  target: "es2022",
  module: "nodenext",
  lib: ["es2022", "dom"],
  types: [],
  strict: true,
  skipLibCheck: false,
  noEmit: true,
};

/** Builds it: JavaScript with declarations, and of the protocol the files that it needs. Throws when that fails. */
export async function buildPackage(target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  // What is for Node alone is compiled by itself: everything else must not know Node's types.
  for (const project of ["sdk/tsconfig.build.json", "sdk/tsconfig.node.json"]) {
    compile(["-p", path.join(root, project), "--outDir", target]);
  }
  for await (const name of glob("**/*.d.ts", { cwd: target })) {
    const file = path.join(target, name);
    const text = await readFile(file, "utf8");
    await writeFile(file, withPublishedImports(hasSchemas(text) ? withoutSchemas(text) : text));
    if (hasSchemas(text)) await writeFile(file.replace(/\.d\.ts$/, ".js"), "export {};\n");
  }
  await cp(path.join(root, "sdk/package.json"), path.join(target, "package.json"));
  await cp(path.join(root, "sdk/README.md"), path.join(target, "README.md"));
  await cp(path.join(root, "LICENSE"), path.join(target, "LICENSE"));
}

/**
 * Tries it as somebody who has nothing else: the examples of its documents compile against it, and Node loads every
 * module that it exports. Throws when something does not; tells what does.
 */
export async function tryPackage(target: string, tell: (line: string) => void): Promise<void> {
  await withInstalled(target, async (away) => {
    tell(`${await tryTypes(away)} examples compile against it`);
    await tryDeclarations(away);
    tell("a library that is made of it has declarations");
    tell(`Node loads its ${await tryModules(away)} modules`);
  });
}

/** Calls `use` with a folder in which the package is installed: away from here, where nothing is found by accident. */
export async function withInstalled(target: string, use: (away: string) => Promise<void>): Promise<void> {
  const away = await mkdtemp(path.join(os.tmpdir(), "tidings-client-"));
  try {
    await cp(target, path.join(away, "node_modules/tidings-client"), { recursive: true });
    await writeFile(path.join(away, "package.json"), JSON.stringify({ type: "module", private: true }));
    await use(away);
  } finally {
    await rm(away, { recursive: true, force: true });
  }
}

async function tryTypes(away: string): Promise<number> {
  const texts = await Promise.all(documents.map((file) => readFile(path.join(root, file), "utf8")));
  const examples = texts.flatMap(examplesOf);
  for (const [i, code] of examples.entries()) {
    await writeFile(path.join(away, `example-${i + 1}.ts`), `${code}export {};\n`);
  }
  await writeFile(
    path.join(away, "tsconfig.json"),
    JSON.stringify({
      compilerOptions,
      include: ["*.ts", "node_modules/tidings-client/**/*.d.ts"],
      exclude: [],
    }),
  );
  compile(["-p", away]);
  return examples.length;
}

/**
 * Tries it as a library that is built on it, whose declarations the compiler has to write: every type that is inferred
 * has to have a name which that library can import.
 */
async function tryDeclarations(away: string): Promise<void> {
  const folder = path.join(away, "library");
  await mkdir(folder);
  await writeFile(path.join(folder, "library.ts"), library);
  const options = { ...compilerOptions, noEmit: false, declaration: true, outDir: "out" };
  await writeFile(
    path.join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: options, include: ["library.ts"] }),
  );
  compile(["-p", folder]);
}

async function tryModules(away: string): Promise<number> {
  const manifest = JSON.parse(await readFile(path.join(root, "sdk/package.json"), "utf8")) as {
    readonly exports: Readonly<Record<string, unknown>>;
  };
  const names = Object.keys(manifest.exports)
    .filter((name) => !name.includes("*"))
    .map((name) => path.posix.join("tidings-client", name));
  const code = names.map((name) => `await import(${JSON.stringify(name)});`).join("\n");
  run(process.execPath, ["--input-type=module", "-e", code], away);
  return names.length;
}

function compile(args: readonly string[]): void {
  run(path.join(root, "node_modules/.bin/tsc"), args, root);
}

/** Throws with what the program has said when it fails. */
function run(program: string, args: readonly string[], cwd: string): void {
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  if (status === 0) return;
  const said = error === undefined ? `${stdout}${stderr}` : error.message;
  throw new Error(`${path.basename(program)} failed: ${said}`);
}
