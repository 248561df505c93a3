import type { DestinationStream } from "pino";
import { printable, shortened } from "./table.ts";

const fieldLengthMax = 160;
const hiddenFields = new Set(["level", "time", "pid", "msg"]);

/** Takes the logger's JSON lines and writes each as one short line that a person reads. */
export function readableLog(write: (line: string) => void): DestinationStream {
  return { write: (json) => write(readableLine(json)) };
}

/** `12:00:01 warn  idle database connection lost  reason=timeout`; what is not JSON passes as it is. */
export function readableLine(json: string): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return printable(json.trim());
  }
  const { level, time, msg } = record;
  const fields = Object.entries(record)
    .filter(([name]) => !hiddenFields.has(name))
    .map(([name, value]) => `${name}=${shortened(fieldText(value), fieldLengthMax)}`);
  const clock = typeof time === "string" ? time.slice(11, 19) : "";
  return printable(
    [clock, (typeof level === "string" ? level : "").padEnd(5), typeof msg === "string" ? msg : "", ...fields]
      .filter((part) => part !== "")
      .join("  "),
  );
}

function fieldText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "stack" in value && "message" in value) {
    return String(value.message);
  }
  return JSON.stringify(value) ?? "";
}
