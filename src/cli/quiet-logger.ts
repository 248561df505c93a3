import { type LogLevel, type Logger, createLogger } from "../lib/logger.ts";
import type { Environment } from "./context.ts";
import { readableLog } from "./log-lines.ts";
import type { Terminal } from "./terminal.ts";

/** A logger beside a command's own output: short lines on standard error, from warnings up unless LOG_LEVEL says else. */
export function quietLogger(terminal: Terminal, environment: Environment, configured: LogLevel): Logger {
  const level = (environment["LOG_LEVEL"] ?? "") === "" ? "warn" : configured;
  return createLogger(level, readableLog(terminal.notice));
}
