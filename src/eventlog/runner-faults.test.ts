import assert from "node:assert/strict";
import { test } from "node:test";
import { asConnectFault, asStatementFault } from "../lib/db-faults.ts";
import { FencedError } from "./checkpoints.ts";
import { type Fault, HandlerTimeoutError, StoppingError, failureOf, faultOf } from "./runner-faults.ts";

function coded(code: string): Error {
  return asStatementFault(Object.assign(new Error("of the database"), { code }));
}

function ofElsewhere(code: string): Error {
  return Object.assign(new Error("of a mail server"), { code });
}

test("what took too long or too much is told from a database that is away and from a bad entry", () => {
  const expected: readonly (readonly [unknown, Fault])[] = [
    [coded("57014"), "overload"],
    [coded("53200"), "overload"],
    [coded("55P03"), "overload"],
    [coded("53100"), "database"],
    [asStatementFault(new Error("Query read timeout")), "overload"],
    [new HandlerTimeoutError("60000 ms"), "overload"],
    [coded("08006"), "database"],
    [coded("57P01"), "database"],
    [coded("40001"), "database"],
    [coded("40P01"), "database"],
    [coded("ECONNRESET"), "database"],
    [asConnectFault(ofElsewhere("ECONNREFUSED")), "database"],
    [coded("08P01"), "entry"],
    ...["ECONNREFUSED", "ENOENT", "EPIPE", "ERR_SSL_WRONG_VERSION_NUMBER"].map(
      (code) => [ofElsewhere(code), "entry"] as const,
    ),
    [coded("42P01"), "schema"],
    [coded("23514"), "entry"],
    [coded("22P02"), "entry"],
    [new Error("any"), "entry"],
    [undefined, "entry"],
    [new FencedError("g"), "fenced"],
    [new StoppingError("g"), "stopping"],
  ];
  for (const [error, fault] of expected) assert.equal(faultOf(error), fault, String(error));
});

test("the last attempt is the one that makes an entry dead, and an overload gives more time between attempts", () => {
  const rule = { attemptsMax: 3 };
  const bad = [1, 2, 3, 4].map((attempts) => failureOf(new Error("any"), attempts, rule));
  assert.deepEqual(
    bad.map(({ dead }) => dead),
    [false, false, true, true],
  );
  const slow = failureOf(coded("57014"), 1, rule);
  assert.ok(slow.delayMs >= 1_000 && slow.delayMs <= 2_000, `${slow.delayMs}`);
  assert.ok((bad[0]?.delayMs ?? 0) <= 100);
});
