import { type UserRole, emailLengthMax, emailPattern, usernamePattern } from "../../protocol/accounts.ts";
import { limits } from "../../protocol/limits.ts";
import { namePattern, unfitInNames } from "../../protocol/names.ts";
import type { Clock } from "../lib/clock.ts";
import { type Db, type Queryable, type Row, boundTo } from "../lib/db.ts";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { AnswerCache } from "./answer-cache.ts";
import { askDatabase } from "./ask-database.ts";
import { disabledDetail } from "./sessions.ts";
import type { KnownPerson, OutsideIdentity } from "./token-claims.ts";

/**
 * How long a person is remembered. Where nobody hears that they were disabled, they get in with an outside token at most
 * this long.
 */
export const rememberedMs = 60_000;
const rememberedMax = 10_000;
/** People of whom it is known that they were forgotten; of one more, everybody is. */
export const forgottenMax = 10_000;
/** Usernames that are tried for a new person. */
const namesMax = 5;

export type Identities = {
  /**
   * The person behind a token of an outside issuer; made when they come for the first time. Throws `forbidden` when
   * they are disabled, `unavailable` when the database cannot be asked.
   */
  readonly personOf: (identity: OutsideIdentity) => Promise<KnownPerson>;
  /**
   * Makes this process look again: the person was disabled, or may other things now. No look-up that began before it is
   * answered with what it found, whether it has ended or not.
   */
  readonly forget: (userId: number) => void;
};

type Found = KnownPerson & { readonly disabled: boolean };
/** `asked` counts the calls of `forget` before the look-up. */
type Remembered = { readonly found: Found; readonly asked: number };

export function createIdentities(deps: {
  readonly db: Pick<Db, "query" | "transaction">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Tests make it small. */
  readonly entriesMax?: number;
}): Identities {
  const { db, clock, log, entriesMax = rememberedMax } = deps;
  const cache = new AnswerCache<Remembered>(clock, { keepMs: rememberedMs, entriesMax });
  const forgotten = new Map<number, number>();
  let forgets = 0;
  let allForgotten = 0;

  const lookUp = async (identity: OutsideIdentity): Promise<Remembered> => {
    const asked = forgets;
    const found = await askDatabase(async (signal) => {
      const own = boundTo(db, signal);
      return (await find(own, identity)) ?? meet(own, identity, log);
    });
    return { found, asked };
  };
  const isOutdated = ({ found, asked }: Remembered): boolean =>
    asked < Math.max(allForgotten, forgotten.get(found.id) ?? 0);

  return {
    personOf: async (identity) => {
      const name = JSON.stringify([identity.issuer, identity.subject]);
      for (;;) {
        const answer = cache.get(name, () => lookUp(identity));
        const remembered = await answer;
        if (isOutdated(remembered)) {
          // Of many who have waited for it, the first one asks anew.
          cache.delete(name, answer);
          continue;
        }
        const { disabled, ...person } = remembered.found;
        if (disabled) throw new AppError("forbidden", { detail: disabledDetail });
        return person;
      }
    },
    forget: (userId) => {
      forgotten.set(userId, ++forgets);
      if (forgotten.size <= forgottenMax) return;
      forgotten.clear();
      allForgotten = forgets;
    },
  };
}

async function find(db: Queryable, { issuer, subject }: OutsideIdentity): Promise<Found | undefined> {
  const { rows } = await db.query<Row & { id: number; username: string; role: UserRole; disabled: boolean }>(
    `select u.id, u.username, u.role, u.disabled_at is not null as disabled
       from account_identity i join account_user u on u.id = i.user_id where i.issuer = $1 and i.subject = $2`,
    [issuer, subject],
    { name: "account_user_by_identity" },
  );
  return rows[0];
}

/** Serialises those who make the same person; any number that nothing else uses. */
const identityLock = 7_319_204;

/** Makes the person, unless somebody else has meanwhile. */
function meet(db: Pick<Db, "transaction">, identity: OutsideIdentity, log: Logger): Promise<Found> {
  return db.transaction(async (tx) => {
    const { issuer, subject } = identity;
    await tx.query("select pg_advisory_xact_lock($1, hashtext($2))", [identityLock, `${issuer}\n${subject}`]);
    const known = await find(tx, identity);
    if (known !== undefined) return known;
    const { id, username } = await makeUser(tx, identity);
    await tx.query("insert into account_identity (issuer, subject, user_id) values ($1, $2, $3)", [
      issuer,
      subject,
      id,
    ]);
    tx.afterCommit(() => log.info({ user: id }, "person made for an outside identity"));
    return { id, username, role: "user", disabled: false };
  });
}

async function makeUser(
  tx: Queryable,
  identity: OutsideIdentity,
): Promise<{ readonly id: number; readonly username: string }> {
  const wanted = fitUsername(identity.username);
  const email = fitEmail(identity.email);
  for (let attempt = 1; attempt <= namesMax; attempt++) {
    const { rows } = await tx.query<{ id: number }>(
      "select nextval(pg_get_serial_sequence('account_user', 'id')) as id",
    );
    const id = rows[0]?.id ?? 0;
    const plain = `user-${id}`;
    // The name itself, then with the number, then the number alone, which hardly anybody else can have.
    const username =
      wanted === undefined || attempt > 2 ? plain : attempt === 1 ? wanted : `${wanted.slice(0, 16)}-${id}`;
    const { rowCount } = await tx.query(
      `insert into account_user (id, username, email, name) overriding system value
       values ($1, $2, case when exists (select from account_user where lower(email) = lower($3)) then null else $3 end, $4)
       on conflict do nothing`,
      [id, username, email ?? null, fitName(identity.name) ?? username],
    );
    if (rowCount > 0) return { id, username };
  }
  throw new Error("no username was free for a new person");
}

/** The username that comes closest to what the issuer calls them; undefined when nothing of it can be used. */
export function fitUsername(text: string | undefined): string | undefined {
  const fitted = (text ?? "")
    .replace(/@.*$/s, "")
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll(/\p{M}/gu, "")
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, 32)
    .replace(/[^a-z0-9]+$/, "");
  return new RegExp(usernamePattern).test(fitted) ? fitted : undefined;
}

const nameForm = new RegExp(namePattern, "u");
const unfitForNames = new RegExp(`[${unfitInNames}]+`, "gu");

/** The name without what a name cannot have, cut to what it may be long; undefined when nothing of it can be seen. */
export function fitName(text: string | undefined): string | undefined {
  const plain = (text ?? "").toWellFormed().replaceAll(unfitForNames, " ").trim();
  const cut = Array.from(plain).slice(0, limits.displayNameLength).join("").trim();
  return nameForm.test(cut) ? cut : undefined;
}

const emailForm = new RegExp(emailPattern, "u");

function fitEmail(text: string | undefined): string | undefined {
  if (text === undefined || text.length < 3 || text.length > emailLengthMax || !text.isWellFormed())
    return undefined;
  return emailForm.test(text) ? text : undefined;
}
