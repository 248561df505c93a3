import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openTestDatabase } from "../../test/harness.ts";
import { AppError } from "../lib/errors.ts";
import { newPerson, openSessions, refreshTokens } from "./sessions.fixture.ts";
import { renewalGraceMs, sessionIdleMs } from "./sessions.ts";

/** The rules of a session, as plain as they can be written, and the database held against them in random orders. */

type Session = {
  readonly number: number;
  readonly renewedAt: number;
  readonly over: boolean;
};
/** The number of the token that is answered, or a refusal. */
type Answer = number | "refused";

function renew(session: Session, shown: number, now: number): readonly [Session, Answer] {
  if (session.over || now >= session.renewedAt + sessionIdleMs) return [session, "refused"];
  if (shown === session.number) return [{ ...session, number: shown + 1, renewedAt: now }, shown + 1];
  const soon = Math.abs(now - session.renewedAt) <= renewalGraceMs;
  if (shown === session.number - 1 && soon) return [session, session.number];
  return [{ ...session, over: true }, "refused"];
}

/** What may come of tokens that are shown at the same time: what comes of them in some order. */
function outcomes(
  session: Session,
  shown: readonly number[],
  now: number,
): readonly (readonly [Session, Answer[]])[] {
  if (shown.length === 0) return [[session, []]];
  return shown.flatMap((token, index) => {
    const [next, answer] = renew(session, token, now);
    return outcomes(next, shown.toSpliced(index, 1), now).map(
      ([last, answers]): readonly [Session, Answer[]] => [last, answers.toSpliced(index, 0, answer)],
    );
  });
}

/** How many renewals ago a token was the newest. */
const age = fc.constantFrom(0, 0, 0, 1, 1, 2, 5);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ show: fc.array(age, { minLength: 1, maxLength: 1 }) }) },
  { weight: 3, arbitrary: fc.record({ show: fc.array(age, { minLength: 2, maxLength: 4 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      waitMs: fc.constantFrom(1, 1_000, renewalGraceMs, renewalGraceMs + 1, -1_000, -renewalGraceMs - 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ waitMs: fc.constantFrom(sessionIdleMs - 1, sessionIdleMs) }) },
  { weight: 1, arbitrary: fc.constant({ logout: true } as const) },
);

test("in whatever order tokens are shown, alone or at once, a session goes by its rules", async () => {
  const db = await openTestDatabase();
  const { sessions, start, clock, ends } = await openSessions(db);

  const answerTo = async (token: string): Promise<Answer> => {
    try {
      return refreshTokens.read((await sessions.renew(token)).refreshToken)?.number ?? 0;
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === "unauthorized", String(error));
      return "refused";
    }
  };

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20, size: "max" }), async (steps) => {
      const person = await newPerson(db);
      const { refreshToken } = await start(person);
      const sessionId = refreshTokens.read(refreshToken)?.sessionId ?? "";
      let session: Session = { number: 1, renewedAt: clock.now(), over: false };
      for (const step of steps) {
        if ("waitMs" in step) clock.advance(step.waitMs);
        else if ("logout" in step) {
          await sessions.end(refreshTokens.write({ sessionId, number: session.number }));
          session = { number: session.number, renewedAt: session.renewedAt, over: true };
        } else {
          const shown = step.show.map((age) => Math.max(1, session.number - age));
          const answers = await Promise.all(
            shown.map((number) => answerTo(refreshTokens.write({ sessionId, number }))),
          );
          const fitting = outcomes(session, shown, clock.now()).find(
            ([, expected]) => JSON.stringify(expected) === JSON.stringify(answers),
          );
          assert.ok(fitting, JSON.stringify({ session, shown, answers }));
          [session] = fitting;
        }
      }
      const ended = await ends(person);
      assert.ok(ended.length <= 1, "a session ends once");
      assert.equal(ended.length === 1, session.over);
    }),
    { numRuns: 100 },
  );
});
