import { spawn } from "node:child_process";

/** Everything that can be known without a database: format, lint, types, unit tests. Side by side, under 10 s. */
const checks: readonly (readonly [string, readonly string[]])[] = [
  ["format", ["oxfmt", "--check", "."]],
  ["lint", ["oxlint", "--deny-warnings"]],
  ["types", ["tsc", "-p", "."]],
  ["unit tests", [process.execPath, "scripts/test.ts", "unit"]],
];

const results = await Promise.all(checks.map(([name, command]) => run(name, command)));
for (const { name, code, output, seconds } of results) {
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s)`);
  if (code !== 0) console.log(output);
}
process.exitCode = results.every(({ code }) => code === 0) ? 0 : 1;

function run(
  name: string,
  [program = "", ...args]: readonly string[],
): Promise<{ name: string; code: number; output: string; seconds: number }> {
  const begunAt = performance.now();
  const path = `${process.cwd()}/node_modules/.bin:${process.env["PATH"] ?? ""}`;
  const child = spawn(program, args, {
    env: { ...process.env, PATH: path },
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
