import { DatabaseError } from "pg";
import { errorCodeOf } from "./errors.ts";

/** What an error of the database means for whoever met it. */

/**
 * The database is not there, or not for the moment: connection lost, starting, stopping, a standby, out of space or
 * connections, deadlock, serialisation. By class where the whole class is of that kind: 08P01 is what a statement with a
 * wrong number of parameters gets.
 */
const transientStates = /^(?:08(?!P01)|40|53|57P|58|25006)/;
/** A limit of time or memory: 57014 statement time-out, 55P03 lock time-out, 53200 out of memory, 25P03 silent too long. */
const limitStates = new Set(["57014", "55P03", "53200", "25P03"]);
const networkCodes = new Set([
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EMFILE",
  "ENETDOWN",
  "ENETRESET",
  "ENETUNREACH",
  "ENFILE",
  "ENOENT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "EPROTO",
  "ETIMEDOUT",
]);
const tlsCode = /^ERR_(?:SSL|TLS)_/;
// `pg` gives no code to the errors it makes itself.
const lostMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/;
const readTimeout = "Query read timeout";

const connectFaults = new WeakSet<Error>();
const statementFaults = new WeakSet<Error>();

/** Notes that no connection could be opened, for whatever reason: a wrong password and a bad certificate count too. */
export function asConnectFault(error: unknown): Error {
  const fault = error instanceof Error ? error : new Error(String(error));
  connectFaults.add(fault);
  return fault;
}

/** Notes that a statement on one of our connections has failed so. */
export function asStatementFault(error: unknown): Error {
  const fault = error instanceof Error ? error : new Error(String(error));
  statementFaults.add(fault);
  return fault;
}

/**
 * Whether an error comes from our database at all: PostgreSQL's own answer, or what was noted where a connection could
 * not be opened or was lost. Where other things than statements may fail too, this is asked first: a mail server that
 * refuses connections gives the same codes as a database.
 */
export function isOfDatabase(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error instanceof DatabaseError || connectFaults.has(error) || statementFaults.has(error);
}

/**
 * Whether the database, not the statement, is at fault. Such work may be tried again unchanged, and for as long as it
 * takes: nothing in it can be to blame. For errors of those who have asked nothing but the database; see `isOfDatabase`.
 */
export function isTransientDbError(error: unknown): boolean {
  if (error instanceof Error && connectFaults.has(error)) return true;
  const code = errorCodeOf(error);
  if (code === undefined) return isLateNews(error);
  if (networkCodes.has(code) || tlsCode.test(code)) return true;
  return code.length === 5 && !limitStates.has(code) && transientStates.test(code);
}

/**
 * Whether a statement ran into a limit of time or memory. That may be the load, and it may be the statement: worth
 * another attempt or two, never attempts without end.
 */
export function isDbLimitError(error: unknown): boolean {
  return limitStates.has(errorCodeOf(error) ?? "") || isReadTimeout(error);
}

/** Whether the same may well succeed a moment later: the database is away, or at one of its limits. */
export function isPassingDbError(error: unknown): boolean {
  return isTransientDbError(error) || isDbLimitError(error);
}

/** Whether this side has stopped waiting: the statement may still be running, and may still take effect. */
export function isReadTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === readTimeout;
}

/** Whether somebody else holds the lock: the statement gave way. */
export function isLockTimeout(error: unknown): boolean {
  return errorCodeOf(error) === "55P03";
}

/**
 * Whether a statement does not fit the schema it met (SQLSTATE class 42): a fault of this version or of the migration,
 * which no entry is to blame for and which no entry will be spared.
 */
export function isSchemaFault(error: unknown): boolean {
  return errorCodeOf(error)?.startsWith("42") === true && errorCodeOf(error)?.length === 5;
}

/** States after which the server closes the connection, or another one may lead to a better place. */
const brokenStates = /^(?:08(?!P01)...|57P..|25P03|25006)$/;

/** Whether the connection is of no more use to anybody. */
export function breaksConnection(error: unknown): boolean {
  if (error instanceof DatabaseError) return brokenStates.test(error.code ?? "");
  return isTransientDbError(error) || isReadTimeout(error);
}

/** Whether this is `pg` saying that there is no connection any more, without the reason. */
export function isLateNews(error: unknown): boolean {
  return error instanceof Error && errorCodeOf(error) === undefined && lostMessages.test(error.message);
}
