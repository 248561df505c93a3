import { uuidv7 } from "../../protocol/ids.ts";
import type { Clock } from "../lib/clock.ts";
import type { Db, Queryable, Tx } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { type AccessTokens, accessTokenS } from "./access-tokens.ts";
import type { EndedSessions } from "./ended-sessions.ts";
import type { RefreshTokens } from "./refresh-tokens.ts";
import { type User, type UserRow, toUser, userColumns } from "./users.ts";

/** A sign-in is good until it ends, or until nobody has renewed it for so long. */
export const sessionIdleMs = 30 * 24 * 3_600_000;
/**
 * How long after its renewal the former refresh token is answered once more, with the same new one: an answer gets
 * lost, and two tabs renew at once. Later it is taken for stolen.
 */
export const renewalGraceMs = 30_000;
/** Sessions of one person that are good at the same time; one more ends the one that was renewed longest ago. */
export const sessionsMax = 100;

/** As the table's check has them. `limit`: there were too many. */
export type EndReason = "logout" | "reuse" | "password" | "disabled" | "admin" | "limit";

export type SessionsEnd = {
  readonly userId: number;
  /** Undefined: all that the person has, and whatever they are connected with. */
  readonly sessionIds: readonly string[] | undefined;
  readonly reason: EndReason;
  /** Who ended them, as entries name their actor. */
  readonly by: string;
};

/** Puts the end of sessions into the log, if and only if the transaction commits. It is called last. */
export type AnnounceEnd = (tx: Tx, end: SessionsEnd) => Promise<void>;

/** What somebody gets who has signed in, or whose sign-in goes on. */
export type SignIn = {
  readonly user: User;
  readonly accessToken: string;
  /** Seconds for which the access token is good. */
  readonly expiresInS: number;
  readonly refreshToken: string;
};

export type Sessions = {
  /** False where this server has no secret to sign with: people then sign in at the issuer of their tokens. */
  readonly canStart: boolean;
  /**
   * Signs a person in. With `passwordHash`, what their password was held against: it must still be that. Throws
   * `unauthorized` when it is not, `forbidden` when the person is disabled.
   */
  start(tx: Tx, userId: number, proof?: { readonly passwordHash: string }): Promise<SignIn>;
  /**
   * Trades a refresh token for the next one. Throws `AppError` `unauthorized` when it is unknown or its session has
   * ended; a token that was traded before ends the session, since somebody else holds it too.
   */
  renew(refreshToken: string): Promise<SignIn>;
  /** Ends the session that the token is of, if it is of any. */
  end(refreshToken: string): Promise<void>;
  /** Ends all sessions of a person, but for one that is named. Their row must be held by the transaction. */
  endAll(tx: Tx, end: Omit<SessionsEnd, "sessionIds"> & { readonly but?: string | undefined }): Promise<void>;
};

/** What sessions are signed with: both from one secret. */
export type Signing = { readonly accessTokens: AccessTokens; readonly refreshTokens: RefreshTokens };

export type SessionDeps = {
  readonly db: Pick<Db, "transaction">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signing: Signing | undefined;
  readonly announceEnd: AnnounceEnd;
  /** Told of every end that has committed, so that this process refuses the access tokens at once. */
  readonly ended: Pick<EndedSessions, "ended">;
};

/**
 * Rules of a session: it has a number, and each renewal counts it up. A refresh token names the session and the number
 * that it leads to; only the newest is good. Who starts, renews or ends sessions holds a row while deciding: that of
 * the person (start, endAll) or that of the session (renew, end), and whoever holds both took the person's first.
 */
export function createSessions(deps: SessionDeps): Sessions {
  const { db, signing } = deps;

  const signIn = async (user: User, claim: { sessionId: string; number: number }): Promise<SignIn> => {
    const { accessTokens, refreshTokens } = signing ?? elsewhere();
    return {
      user,
      accessToken: await accessTokens.issue(user, claim.sessionId),
      expiresInS: accessTokenS,
      refreshToken: refreshTokens.write(claim),
    };
  };

  return {
    canStart: signing !== undefined,

    start: async (tx, userId, proof) => {
      const user = await holdUser(tx, userId, proof?.passwordHash);
      const sessionId = uuidv7(deps.clock.now());
      await insertSession(tx, { userId, sessionId, now: deps.clock.now() });
      const result = await signIn(user, { sessionId, number: 1 });
      await endOldest(deps, tx, { userId, but: sessionId });
      return result;
    },

    renew: async (refreshToken) => {
      const claim = (signing ?? elsewhere()).refreshTokens.read(refreshToken);
      if (claim === undefined) throw refused();
      // The verdict is committed also where it is a refusal: a session that ends must stay ended.
      const verdict = await db.transaction((tx) => judge(deps, tx, claim));
      if (verdict === undefined) throw refused();
      return signIn(verdict.user, { sessionId: claim.sessionId, number: verdict.number });
    },

    end: async (refreshToken) => {
      const claim = (signing ?? elsewhere()).refreshTokens.read(refreshToken);
      if (claim === undefined) return;
      await db.transaction(async (tx) => {
        const now = deps.clock.now();
        const { rows } = await tx.query<{ user_id: number }>(
          `update account_session set ended_at = $2, end_reason = 'logout'
            where id = $1 and ended_at is null returning user_id`,
          [claim.sessionId, new Date(now)],
        );
        for (const { user_id: userId } of rows) {
          const by = `user:${userId}`;
          const end = { userId, sessionIds: [claim.sessionId], reason: "logout", by } as const;
          await tellEnd(deps, tx, { ...end, ids: end.sessionIds, now });
        }
      });
    },

    endAll: async (tx, { but, ...end }) => {
      const now = deps.clock.now();
      const { rows } = await tx.query<{ id: string }>(
        `update account_session set ended_at = $2, end_reason = $3
          where user_id = $1 and ended_at is null and expires_at > $2 and ($4::uuid is null or id <> $4::uuid)
          returning id`,
        [end.userId, new Date(now), end.reason, but ?? null],
      );
      const ids = rows.map(({ id }) => id);
      await tellEnd(deps, tx, { ...end, sessionIds: but === undefined ? undefined : ids, ids, now });
    },
  };
}

/** Tells of the sessions `ids`, which the transaction has ended, those who will hear of them. It is called last. */
async function tellEnd(
  { announceEnd, ended }: SessionDeps,
  tx: Tx,
  { ids, now, ...end }: SessionsEnd & { readonly ids: readonly string[]; readonly now: number },
): Promise<void> {
  await announceEnd(tx, end);
  tx.afterCommit(() => {
    for (const id of ids) ended.ended(end.userId, id, now);
  });
}

/** The person, whom nobody disables or gives another password before the transaction ends. */
async function holdUser(tx: Queryable, id: number, passwordHash: string | undefined): Promise<User> {
  const { rows } = await tx.query<UserRow & { password_hash: string | null }>(
    `select ${userColumns}, password_hash from account_user where id = $1 for no key update`,
    [id],
  );
  const [row] = rows;
  if (row === undefined || (passwordHash !== undefined && row.password_hash !== passwordHash)) {
    throw new AppError("unauthorized", { detail: "The password was changed a moment ago: sign in again" });
  }
  if (row.disabled_at !== null) throw new AppError("forbidden", { detail: disabledDetail });
  return toUser(row);
}

export const disabledDetail = "This account is disabled: ask whoever runs this server";

async function insertSession(
  tx: Queryable,
  { userId, sessionId, now }: { readonly userId: number; readonly sessionId: string; readonly now: number },
): Promise<void> {
  await tx.query(
    `insert into account_session (id, user_id, created_at, renewed_at, expires_at) values ($1, $2, $3, $3, $4)`,
    [sessionId, userId, new Date(now), new Date(now + sessionIdleMs)],
  );
}

async function endOldest(
  deps: SessionDeps,
  tx: Tx,
  { userId, but }: { readonly userId: number; readonly but: string },
): Promise<void> {
  const now = deps.clock.now();
  const { rows } = await tx.query<{ id: string }>(
    `update account_session set ended_at = $2, end_reason = 'limit'
      where id in (select id from account_session
                    where user_id = $1 and ended_at is null and expires_at > $2 and id <> $4
                    order by renewed_at desc, id desc offset $3)
      returning id`,
    [userId, new Date(now), sessionsMax - 1, but],
  );
  if (rows.length === 0) return;
  const ids = rows.map(({ id }) => id);
  await tellEnd(deps, tx, { userId, sessionIds: ids, reason: "limit", by: "system", ids, now });
}

type SessionRow = UserRow & {
  readonly number: number;
  readonly renewed_at: Date;
  readonly over: boolean;
};

const joinedColumns = userColumns
  .split(", ")
  .map((column) => `u.${column}`)
  .join(", ");

/** What becomes of a refresh token; undefined is a refusal. */
async function judge(
  deps: SessionDeps,
  tx: Tx,
  { sessionId, number }: { readonly sessionId: string; readonly number: number },
): Promise<{ readonly user: User; readonly number: number } | undefined> {
  const now = deps.clock.now();
  const { rows } = await tx.query<SessionRow>(
    `select ${joinedColumns}, s.number, s.renewed_at, s.ended_at is not null or s.expires_at <= $2 as over
       from account_session s join account_user u on u.id = s.user_id where s.id = $1 for update of s`,
    [sessionId, new Date(now)],
  );
  const [session] = rows;
  if (session === undefined || session.over) return undefined;
  const user = toUser(session);
  if (number === session.number) {
    await tx.query(
      `update account_session set number = number + 1, renewed_at = $2, expires_at = $3 where id = $1`,
      [sessionId, new Date(now), new Date(now + sessionIdleMs)],
    );
    return { user, number: number + 1 };
  }
  // Clocks of several processes differ a little, and one that was set back must not prolong the time for thieves.
  const sinceMs = Math.abs(now - session.renewed_at.getTime());
  if (number === session.number - 1 && sinceMs <= renewalGraceMs) return { user, number: session.number };

  await tx.query(`update account_session set ended_at = $2, end_reason = 'reuse' where id = $1`, [
    sessionId,
    new Date(now),
  ]);
  const ids = [sessionId];
  await tellEnd(deps, tx, { userId: user.id, sessionIds: ids, reason: "reuse", by: "system", ids, now });
  tx.afterCommit(() => {
    deps.log.warn({ session: sessionId, user: user.id }, "a refresh token was used twice: session ended");
  });
  return undefined;
}

/** One answer for all that is wrong with a refresh token: which it is helps only who should not have it. */
function refused(): AppError {
  return new AppError("unauthorized", { detail: "The refresh token is not valid any more: sign in again" });
}

/** Throws for servers that have no secret of their own. */
export function elsewhere(): never {
  throw new AppError("forbidden", {
    detail:
      "people sign in at the issuer of their tokens: this server signs none, since JWT_SECRET is not set",
  });
}
