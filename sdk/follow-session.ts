import { closeRules } from "../protocol/close-codes.ts";
import { backoffMs, connectBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { stableMs } from "./connection-link.ts";
import type { StoredSession } from "./session.ts";

export type FollowSessionDeps = {
  readonly session: Pick<StoredSession, "account" | "outlivesEnd">;
  readonly connection: Pick<Connection, "view" | "start" | "stop">;
  /** The client was started, and not stopped since. */
  readonly running: () => boolean;
  readonly clock: Clock;
  readonly random: () => number;
};

/** The connection is that of whoever is signed in. */
export function followSession(deps: FollowSessionDeps): void {
  followAccount(deps);
  outliveEnds(deps);
}

function followAccount({ session, connection, running }: FollowSessionDeps): void {
  let before = session.account.get()?.id;
  session.account.subscribe((account) => {
    // The same person under another name, perhaps.
    if (before === account?.id) return;
    const changed = before !== undefined;
    before = account?.id;
    if (!running()) return;
    if (changed) connection.stop();
    connection.start();
  });
}

/**
 * The server says that a sign-in is over: whether what is stored now is good, the session finds out. Then the connection
 * goes on, at once the first time, and after growing pauses when the same is said again before a connection has lasted:
 * a server that says both, or is not reached for the question, is not stormed.
 */
function outliveEnds({ session, connection, running, clock, random }: FollowSessionDeps): void {
  let ends = 0;
  let openedAt = Number.POSITIVE_INFINITY;
  let timer: unknown;
  const goOn = (isAlive: boolean): void => {
    // Somebody has started or stopped it meanwhile.
    if (!isAlive || !running() || !isEnded(connection)) return;
    if (ends === 1) return connection.start();
    clock.clearTimeout(timer);
    timer = clock.setTimeout(() => connection.start(), backoffMs(ends - 1, connectBackoff, random()));
  };
  connection.view.subscribe(({ state }) => {
    clock.clearTimeout(timer);
    if (state === "open") openedAt = Math.min(openedAt, clock.now());
    if (!isEnded(connection)) return;
    ends = clock.now() - openedAt >= stableMs ? 1 : ends + 1;
    openedAt = Number.POSITIVE_INFINITY;
    // When it could not be found out, the next connection is told.
    session.outlivesEnd().then(goOn, () => goOn(true));
  });
}

function isEnded({ view }: FollowSessionDeps["connection"]): boolean {
  return view.get().code === closeRules.session_ended.code;
}
