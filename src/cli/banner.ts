import path from "node:path";
import type { App } from "../app.ts";
import type { Terminal } from "./terminal.ts";

/** The first message anyone sends; the example of the inbox's own document. */
const webhookBody =
  '{"external_message_id":"1a2b3c4d5e6f7890abcdef1234567890","external_client_id":"fedcba0987654321abcdef1234567890","client_phone":"+79194961182","message_text":"Привет!","send_at":1640995200}';

export type BannerFacts = {
  readonly version: string;
  readonly startedIn: string;
  readonly host: string;
  readonly dataDir: string;
};

/** What a person needs once the server runs: where it is, and on the very first start what to try. */
export function bannerLines(
  app: Pick<App, "api" | "metricsPort" | "firstRun">,
  facts: BannerFacts,
  terminal: Pick<Terminal, "live" | "style">,
): readonly string[] {
  const lines = [terminal.style("green", `Tidings ${facts.version} is ready (${facts.startedIn})`)];
  if (app.api !== undefined) {
    const base = baseUrl(app.api.host, app.api.port);
    lines.push(`  API      ${base}`, `  Docs     ${base}/docs`);
  }
  if (app.metricsPort !== undefined) lines.push(`  Metrics  ${baseUrl(facts.host, app.metricsPort)}/metrics`);
  if (app.api !== undefined && app.firstRun !== undefined) {
    const base = baseUrl(app.api.host, app.api.port);
    lines.push(...firstSteps(base, app.firstRun.key, path.join(facts.dataDir, "development-key"), terminal));
  }
  if (terminal.live) lines.push("", terminal.style("dim", "Ctrl-C stops it."));
  return lines;
}

/** Only a first start on loopback comes here; afterwards the key is in its file and nowhere else. */
function firstSteps(
  base: string,
  key: string,
  keyFile: string,
  terminal: Pick<Terminal, "style">,
): readonly string[] {
  const bearer = `'Authorization: Bearer ${key}'`;
  return [
    "",
    `Your key for trying things out, shown this once (it lies in ${keyFile}):`,
    `  ${terminal.style("yellow", key)}`,
    "",
    "Send a message as a messenger would:",
    `  curl -X POST ${base}/api/v1/webhook -H ${bearer} -H 'Content-Type: application/json' -d '${webhookBody}'`,
    "",
    "See the dialog that it began:",
    `  curl ${base}/api/v1/dialogs -H ${bearer}`,
  ];
}

/** The URL under which this machine reaches a listener: a wildcard address stands for all of its own. */
export function baseUrl(host: string, port: number): string {
  if (host === "0.0.0.0" || host === "::") return `http://127.0.0.1:${port}`;
  return `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}
