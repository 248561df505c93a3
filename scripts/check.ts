import { spawn } from "node:child_process";

type Check = {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/**
 * Everything that can be known without a database: format, lint, types, unit tests. Side by side, some 20 s on two
 * cores, also in a fresh clone: nothing is remembered from run to run.
 */
const checks: readonly Check[] = [
  { name: "format", command: ["oxfmt", "--check", "."] },
  // Lint and the compiler are Go programs which, left alone, do the same work in several threads: half of their time.
  { name: "lint", command: ["oxlint", "--deny-warnings"], env: { GOMAXPROCS: "1" } },
  { name: "types", command: ["tsc", "-p", ".", "--checkers", "1"] },
  // Of what browsers run: without the types of Node.
  { name: "sdk", command: ["tsc", "-p", "sdk/tsconfig.build.json", "--noEmit", "--checkers", "1"] },
  { name: "unit tests", command: [process.execPath, "scripts/test.ts", "unit"] },
];

const results = await Promise.all(checks.map(run));
for (const { name, code, output, seconds } of results) {
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s)`);
  if (code !== 0) console.log(output);
}
process.exitCode = results.every(({ code }) => code === 0) ? 0 : 1;

function run({
  name,
  command: [program = "", ...args],
  env,
}: Check): Promise<{ name: string; code: number; output: string; seconds: number }> {
  const begunAt = performance.now();
  const path = `${process.cwd()}/node_modules/.bin:${process.env["PATH"] ?? ""}`;
  const child = spawn(program, args, {
    env: { ...process.env, ...env, PATH: path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({ name, code: code ?? 1, output, seconds: (performance.now() - begunAt) / 1000 }),
    );
  });
}
