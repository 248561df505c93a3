import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "pg";
import {
  asConnectFault,
  asStatementFault,
  breaksConnection,
  isDbLimitError,
  isOfDatabase,
  isSchemaFault,
  isTransientDbError,
} from "./db-faults.ts";

function answer(code: string): DatabaseError {
  const error = new DatabaseError("what PostgreSQL says", 0, "error");
  error.code = code;
  return error;
}

const coded = (code: string): Error => Object.assign(new Error("of Node or TLS"), { code });
const said = (text: string): Error => new Error(text);

const cases: readonly [what: string, error: Error, kind: "transient" | "limit" | "schema" | "other"][] = [
  ["a lost connection", answer("08006"), "transient"],
  ["a shutdown", answer("57P01"), "transient"],
  ["a start", answer("57P03"), "transient"],
  ["a deadlock", answer("40P01"), "transient"],
  ["a serialisation failure", answer("40001"), "transient"],
  ["a full disk", answer("53100"), "transient"],
  ["too many connections", answer("53300"), "transient"],
  ["a disk that cannot be read", answer("58030"), "transient"],
  ["a standby after a failover", answer("25006"), "transient"],
  ["a refused connection", coded("ECONNREFUSED"), "transient"],
  ["too many open files", coded("EMFILE"), "transient"],
  ["an unreachable network", coded("ENETUNREACH"), "transient"],
  ["an unreachable host", coded("EHOSTUNREACH"), "transient"],
  ["TLS that breaks off", coded("ERR_SSL_SSL/TLS_ALERT_INTERNAL_ERROR"), "transient"],
  ["a connection that ended", said("Connection terminated unexpectedly"), "transient"],
  ["a wrong password", asConnectFault(answer("28P01")), "transient"],
  ["a database that is not there", asConnectFault(answer("3D000")), "transient"],
  ["an expired certificate", asConnectFault(coded("CERT_HAS_EXPIRED")), "transient"],
  ["a server without TLS", asConnectFault(said("The server does not support SSL connections")), "transient"],
  ["a statement time-out", answer("57014"), "limit"],
  ["a lock time-out", answer("55P03"), "limit"],
  ["memory that ran out", answer("53200"), "limit"],
  ["a transaction that was silent too long", answer("25P03"), "limit"],
  ["an answer that was not waited for", said("Query read timeout"), "limit"],
  ["a missing table", answer("42P01"), "schema"],
  ["a wrong number of parameters", answer("08P01"), "other"],
  ["a value that does not fit", answer("22003"), "other"],
  ["a unique violation", answer("23505"), "other"],
  ["an error of our own", said("the sky is falling"), "other"],
];

for (const [what, error, kind] of cases) {
  test(`${what} is ${kind === "other" ? "the statement's own fault" : `a ${kind} fault`}`, () => {
    assert.deepEqual(
      [isTransientDbError(error), isDbLimitError(error), isSchemaFault(error)],
      [kind === "transient", kind === "limit", kind === "schema"],
    );
  });
}

test("a connection is replaced when it is lost, busy with what nobody waits for, or leads to a standby", () => {
  for (const error of [answer("57P01"), answer("25006"), said("Query read timeout"), coded("ECONNRESET")]) {
    assert.equal(breaksConnection(error), true);
  }
  for (const error of [answer("57014"), answer("40P01"), answer("23505"), said("the sky is falling")]) {
    assert.equal(breaksConnection(error), false);
  }
});

test("an error is the database's when PostgreSQL or one of our connections has given it, whatever its code", () => {
  for (const error of [
    answer("57P01"),
    asConnectFault(coded("EPROTO")),
    asStatementFault(coded("ECONNRESET")),
  ])
    assert.equal(isOfDatabase(error), true);
  for (const error of [
    coded("ECONNREFUSED"),
    coded("57P01"),
    said("Connection terminated"),
    "08006",
    undefined,
  ])
    assert.equal(isOfDatabase(error), false);
});
