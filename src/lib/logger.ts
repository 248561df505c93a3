import { DatabaseError } from "pg";
import { type DestinationStream, type Logger, pino } from "pino";
import { errorCodeOf } from "./errors.ts";

export type { Logger } from "pino";

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * The one logger. JSON lines to `destination` (standard output by default). Message texts, tokens and addresses
 * are never logged; the redaction below is a net under that rule, not a replacement for it.
 */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ["*.authorization", "*.password", "*.secret", "*.token", "*.message_text", "*.client_phone"],
        censor: "[redacted]",
      },
      serializers: { err: describeError },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/**
 * An error as the log shows it. PostgreSQL's own errors quote the values they complain about, and those may be what
 * a person wrote: of them only the facts are logged.
 */
function describeError(error: Error): object {
  if (!(error instanceof DatabaseError)) return pino.stdSerializers.err(error);
  const { code, severity, table, column, constraint, routine, stack } = error;
  const frames = stack?.split("\n").filter((line) => line.startsWith("    at "));
  return {
    type: "DatabaseError",
    code,
    severity,
    table,
    column,
    constraint,
    routine,
    stack: frames?.join("\n"),
  };
}

/**
 * What a log line may say about the error of somebody who worked on what people wrote: its kind and its code. A message
 * may quote the very words that it complains about.
 */
export function errorKind(error: unknown): string {
  if (error instanceof DatabaseError)
    return `database error ${error.code ?? "unknown"} ${error.constraint ?? ""}`.trimEnd();
  if (!(error instanceof Error)) return typeof error;
  return `${error.name} ${errorCodeOf(error) ?? ""}`.trimEnd();
}
