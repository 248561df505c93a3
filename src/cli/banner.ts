import path from "node:path";
import type { App, Entrance } from "../app.ts";
import { type RoleName, roleNames } from "../config.ts";
import type { Terminal } from "./terminal.ts";
import { program } from "./verb.ts";

/** The first message anyone sends; the example of the inbox's own document. */
const webhookBody =
  '{"external_message_id":"1a2b3c4d5e6f7890abcdef1234567890","external_client_id":"fedcba0987654321abcdef1234567890","client_phone":"+79194961182","message_text":"Привет!","send_at":1640995200}';

export type BannerFacts = {
  readonly version: string;
  readonly startedIn: string;
  readonly metricsHost: string;
  readonly roles: readonly RoleName[];
  /** Where the server was started: files below it are named from there. */
  readonly directory: string;
};

/** What a person needs once the server runs: where it is, how to get in, and on the very first start what to try. */
export function bannerLines(
  app: Pick<App, "api" | "metricsPort" | "entrance">,
  facts: BannerFacts,
  terminal: Pick<Terminal, "live" | "style">,
): readonly string[] {
  const lines = [terminal.style("green", `Tidings ${facts.version} is ready (${facts.startedIn})`)];
  if (facts.roles.length < roleNames.length) lines.push(`  Role     ${facts.roles.join(", ")}`);
  if (app.api !== undefined) {
    const base = baseUrl(app.api.host, app.api.port);
    lines.push(`  API      ${base}`, `  Docs     ${base}/docs`);
    if (facts.roles.includes("gateway")) lines.push(`  Sockets  ${base.replace("http", "ws")}/ws`);
  }
  if (app.metricsPort !== undefined)
    lines.push(`  Metrics  ${baseUrl(facts.metricsHost, app.metricsPort)}/metrics`);
  if (app.api !== undefined) {
    const base = baseUrl(app.api.host, app.api.port);
    lines.push(...entranceLines(app.entrance, { base, directory: facts.directory }, terminal));
  }
  if (terminal.live) lines.push("", terminal.style("dim", "Ctrl-C stops it."));
  return lines;
}

function entranceLines(
  entrance: Entrance,
  { base, directory }: { readonly base: string; readonly directory: string },
  terminal: Pick<Terminal, "style">,
): readonly string[] {
  if (entrance.kind === "own") return [];
  if (entrance.kind === "none") {
    return [
      "",
      "There is no API key yet. With the server's own settings, this makes one with every scope:",
      `  ${program} key create me --scopes admin`,
    ];
  }
  const file = shownPath(entrance.file, directory);
  if (entrance.kind === "kept") {
    return ["", terminal.style("dim", `The key for trying things out lies in ${file}.`)];
  }
  const bearer = `'Authorization: Bearer ${entrance.key}'`;
  return [
    "",
    `Your key for trying things out, shown this once (it lies in ${file}):`,
    `  ${terminal.style("yellow", entrance.key)}`,
    "",
    "Send a message as a messenger would:",
    `  curl -X POST ${base}/api/v1/webhook -H ${bearer} -H 'Content-Type: application/json' -d '${webhookBody}'`,
    "",
    "See the dialog that it began:",
    `  curl ${base}/api/v1/dialogs -H ${bearer}`,
  ];
}

/** As one would type it in `directory`: `.tidings/development-key`. */
function shownPath(file: string, directory: string): string {
  const near = path.relative(directory, file);
  return near.startsWith("..") ? file : near;
}

/** The URL under which this machine reaches a listener: a wildcard address stands for all of its own. */
export function baseUrl(host: string, port: number): string {
  if (host === "0.0.0.0" || host === "::") return `http://127.0.0.1:${port}`;
  return `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}
