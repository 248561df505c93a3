import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { quantile } from "../harness/spread.ts";
import { Numbers, Totals } from "./node-check.ts";
import { NodeSocket, type SocketEvents } from "./node-socket.ts";

/**
 * The sink where there is no C compiler or no epoll: the same commands and answers as `main.c`. It costs more than the
 * other one, so that figures are lower where it has to share the cores with the server.
 */
const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    ["port", "per-address", "sample", "small", "subprotocol", "counted", "ready", "check", "reconnect"].map(
      (name) => [name, { type: "string", default: "" }] as const,
    ),
  ),
});
const sample = Number(given["sample"]);
const small = Number(given["small"]);
const perAddress = Number(given["per-address"]);
const check = given["check"] === "1";
const reconnect = given["reconnect"] === "1";
const counted = Buffer.from(String(given["counted"]));
const ready = Buffer.from(String(given["ready"]));
const marker = /~(\d+):(\d+):(\d+)~/;
const position = /"position":"([^"]+)"/;
/** Where the position of an entry stands, and where a marker is looked for. */
const headBytes = 400;
const nsPerS = 1e9;

const totals = new Totals();
const counts = { open: 0, underway: 0, connects: 0, failures: 0, closes: 0, refused: 0 };
const codes: Record<string, number> = {};
const measured = { messages: 0, bytes: 0, other: 0 };
let latencies: number[] = [];
let begunAt = performance.now();
let cpuBefore = process.cpuUsage();
let openingAt = performance.now();
let stormNs = 0n;
let opening: { readonly wanted: number; readonly underway: number; next: number } | undefined;

const events: SocketEvents = {
  port: Number(given["port"]),
  subprotocol: String(given["subprotocol"]),
  ready: ready.toString(),
  reconnect,
  onText: takeText,
  onCode: (code) => {
    codes[code] = (codes[code] ?? 0) + 1;
  },
  onState: ({ state }, before) => {
    if (before === "open") counts.open--;
    if (before === "underway") counts.underway--;
    if (state === "open") counts.open++;
    if (state === "underway") {
      counts.underway++;
      counts.connects++;
    }
    const over = state === "waiting" || state === "dead";
    if (over && before === "open") counts.closes++;
    if (over && before === "underway") counts.failures++;
    openMore();
  },
};

const sockets = readFileSync(positionals[0] ?? "", "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line, index) => {
    const [path = "", first = "", topic = "", key = "-1"] = line.split("\t");
    const address = perAddress > 0 ? `127.0.0.${1 + Math.floor(index / perAddress)}` : undefined;
    const spec = { path, first, topic, key: Number(key) };
    return new NodeSocket(index, { spec, numbers: new Numbers(totals), events, address });
  });

function begins(payload: Buffer, prefix: Buffer): boolean {
  return payload.length >= prefix.length && payload.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

function isSampled({ index }: NodeSocket): boolean {
  return index < small || index % sample === 0;
}

function takeText(socket: NodeSocket, payload: Buffer): void {
  measured.bytes += payload.length;
  if (begins(payload, counted)) {
    measured.messages++;
    if (isSampled(socket)) readMarked(socket, payload.toString("latin1"));
    return;
  }
  measured.other++;
  const text = payload.toString("latin1", 0, headBytes);
  if (socket.state === "underway" && begins(payload, ready)) {
    if (text.includes('"refused":{"')) counts.refused++;
    else {
      if (text.includes('"limited":true')) limit(socket);
      if (reconnect && socket.position === "") keepPosition(socket, text);
      socket.ready();
    }
  } else if (text.startsWith('{"type":"limited"')) {
    limit(socket);
    if (reconnect) keepPosition(socket, text);
  } else if (text === "2") socket.send(1, Buffer.from("3"));
}

function readMarked(socket: NodeSocket, text: string): void {
  if (reconnect) keepPosition(socket, text.slice(0, headBytes));
  const [, key, number, sent] = marker.exec(text) ?? [];
  if (sent === undefined) return;
  const now = process.hrtime.bigint();
  const sentNs = BigInt(sent);
  latencies.push(Number(now - sentNs) / 1e6);
  if (socket.readyNs > sentNs) socket.caughtNs = now;
  if (!check) return;
  if (socket.spec.key >= 0 && Number(key) !== socket.spec.key) totals.stray++;
  else socket.numbers.take(Number(number));
}

function keepPosition(socket: NodeSocket, text: string): void {
  socket.position = position.exec(text)?.[1] ?? socket.position;
}

function limit(socket: NodeSocket): void {
  totals.limited++;
  socket.numbers.rebase = true;
}

function openMore(): void {
  if (opening === undefined) return;
  const { wanted, underway } = opening;
  // Who connects is under way at once, and comes back here.
  if (opening.next < wanted && counts.underway < underway) sockets[opening.next++]?.connect();
  if (opening?.next !== wanted) return;
  if (counts.open !== wanted && (reconnect || counts.underway > 0)) return;
  opening = undefined;
  answer("open", state(wanted));
}

function state(wanted = sockets.length): object {
  const seconds = (performance.now() - openingAt) / 1_000;
  return { ...counts, sockets: wanted, limited: totals.limited, seconds, codes };
}

function begin(): void {
  Object.assign(measured, { messages: 0, bytes: 0, other: 0 });
  latencies = [];
  begunAt = performance.now();
  cpuBefore = process.cpuUsage();
}

function end(): object {
  const seconds = (performance.now() - begunAt) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const sorted = Float64Array.from(latencies).sort();
  const of = (share: number): number => (sorted.length === 0 ? -1 : quantile(sorted, share));
  const cpu = (user + system) / 1e6;
  return { seconds, ...measured, samples: sorted.length, p50: of(0.5), p99: of(0.99), max: of(1), cpu };
}

function storm(cut: boolean): void {
  stormNs = process.hrtime.bigint();
  if (cut) for (const socket of sockets) socket.cut();
}

function caught(): object {
  const back = sockets.filter(({ state, readyNs }) => state === "open" && readyNs > stormNs);
  const times = back.map(({ caughtNs }) => Number(caughtNs - stormNs) / nsPerS).sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(share * (sockets.length - 1))] ?? -1;
  return { caught: times.length, p50: at(0.5), p99: at(0.99), max: times.at(-1) ?? -1 };
}

function checked(list: string): object {
  const lasts = new Map(
    list.split(",").map((pair): [number, number] => {
      const [key, last] = pair.split(":");
      return [Number(key), Number(last)];
    }),
  );
  let gaps = 0;
  let behind = 0;
  for (const { spec, numbers } of sockets.filter(isSampled)) {
    const rest = Math.max(0, (lasts.get(spec.key) ?? 0) - numbers.last);
    gaps += numbers.missing + rest;
    if (rest > 0) behind++;
  }
  const { duplicates, disordered, skipped, limited, stray } = totals;
  return { gaps, duplicates, disordered, skipped, limited, stray, behind };
}

function answer(name: string, what: object): void {
  process.stdout.write(`${JSON.stringify({ answer: name, ...what })}\n`);
}

function obey(line: string): void {
  const [command = "", first = "", second = ""] = line.split(" ");
  switch (command) {
    case "open":
      openingAt = performance.now();
      opening = { wanted: Math.min(Number(first), sockets.length), underway: Number(second), next: 0 };
      return openMore();
    case "begin":
      begin();
      return answer(command, {});
    case "end":
      return answer(command, end());
    case "state":
      return answer(command, state());
    case "stall":
      for (const socket of sockets.slice(0, Number(first))) socket.stall(true);
      return answer(command, {});
    case "read":
      for (const socket of sockets) socket.stall(false);
      return answer(command, {});
    case "storm":
      storm(first === "1");
      return answer(command, {});
    case "caught":
      return answer(command, caught());
    case "check":
      return answer(command, checked(first));
    default:
      return answer("fault", { detail: "unknown command" });
  }
}

const lines = createInterface({ input: process.stdin });
lines.on("line", obey);
lines.on("close", () => process.exit());
