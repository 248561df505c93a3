import type { SourceScheme } from "../../../protocol/inbox.ts";
import { type Queryable, isPassingDbError } from "../../lib/db.ts";
import { AppError } from "../../lib/errors.ts";
import { Lru } from "../../lib/lru.ts";
import { within, withTimeLimit } from "../../lib/aborted.ts";

export type Source = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly createdAt: Date;
};

/** A source as the webhook needs it: with the secrets that are good right now. */
export type SigningSource = Source & { readonly secrets: readonly string[] };

/** By its name, or by its id. */
export type WhichSource = { readonly name: string } | { readonly id: number };

export type SourceCache = {
  /**
   * As it was at most `freshMs` ago, or `usableMs` while the database is slow or away; without a promise when that is
   * known. Throws or rejects with `unknown_source`, and with `overloaded` or what the database says where nothing is
   * known.
   */
  find(which: WhichSource): SigningSource | Promise<SigningSource>;
  /** Forgets everything, what is not there included: something was changed. */
  clear(): void;
};

/** How long an answer is given again without a question, milliseconds. */
export const freshMs = 2_000;
/** How old a source may be that is given while the database does not answer, milliseconds. */
export const usableMs = 30_000;

export type SourceCacheBounds = {
  /** Sources that are remembered, and as many names and ids that nobody has. */
  readonly sourcesMax: number;
  /** Names and ids that are being asked for at once; a new one more is refused. */
  readonly questionsMax: number;
  /** Statements under way at once, each on a connection of its own. */
  readonly lookUpsMax: number;
  /** How long one may take, milliseconds. */
  readonly lookUpMaxMs: number;
  /** How long an answer is waited for where an older one is at hand, milliseconds. */
  readonly patienceMs: number;
};

/**
 * Whoever waits has an answer or a refusal within three times `lookUpMaxMs`: until a connection is free, and for two
 * attempts. That is less than an append may take.
 */
export const sourceCacheBounds: SourceCacheBounds = {
  sourcesMax: 10_000,
  questionsMax: 1_000,
  lookUpsMax: 2,
  lookUpMaxMs: 1_500,
  patienceMs: 250,
};

/** How often a question is asked, where the database and not the question is at fault. */
const attemptsMax = 2;

type Key = string | number;
type Known = { readonly at: number; readonly source: SigningSource };

/** A key that is being asked for. */
type Question = {
  readonly key: Key;
  readonly askedAt: number;
  readonly answer: PromiseWithResolvers<SigningSource>;
  attempts: number;
  /** The answer, or what was known before when that takes too long. */
  answerOrKnown: Promise<SigningSource> | undefined;
};

type CacheOptions = { readonly nowMs?: () => number; readonly bounds?: Partial<SourceCacheBounds> };

/**
 * Sources as the database had them a moment ago, and what it did not have. Anybody may ask for any name before a
 * credential is looked at, so names that nobody has are remembered too, apart from the others, and those that are new
 * gather while questions are under way: strangers take two connections of the pool, not all of them.
 * A connection that does not answer is given up soon, and the question asked again on another one. What is known goes on
 * being used meanwhile: webhooks of known senders can still be refused or made durable by the log.
 */
export function createSourceCache(db: Queryable, options: CacheOptions = {}): SourceCache {
  const { nowMs = () => performance.now() } = options;
  const bounds = { ...sourceCacheBounds, ...options.bounds };
  const known = new Lru<Key, Known>(bounds.sourcesMax);
  const unknown = new Lru<Key, number>(bounds.sourcesMax);
  const ask = createQuestions(db, { bounds, nowMs }, (key, at, source) => {
    // What it was is no answer any more, neither when this one is old nor to who asks by its other key.
    if (source === undefined) {
      const last = known.get(key)?.source;
      for (const gone of last === undefined ? [] : [last.name, last.id]) known.delete(gone);
      unknown.set(key, at);
    } else known.set(key, { at, source });
  });

  return {
    find: (which) => {
      const key = "name" in which ? which.name : which.id;
      const now = nowMs();
      const last = known.get(key);
      if (last !== undefined && now - last.at < freshMs) return last.source;
      const missedAt = unknown.get(key);
      if (missedAt !== undefined && now - missedAt < freshMs) throw unknownSource(key);

      const question = ask.about(key, now);
      if (last === undefined || now - last.at >= usableMs) {
        if (question === undefined) throw new AppError("overloaded", { retryAfterS: 1 });
        return question.answer.promise;
      }
      const patienceMs = question === undefined ? 0 : question.askedAt + bounds.patienceMs - now;
      if (question === undefined || patienceMs <= 0) return last.source;
      question.answerOrKnown ??= within(patienceMs, knownUnlessTold(question, last), () => last.source);
      return question.answerOrKnown;
    },
    clear: () => {
      known.clear();
      unknown.clear();
      ask.anew();
    },
  };
}

/** What the database says, or what was known when it cannot say anything. */
function knownUnlessTold({ answer }: Question, { source }: Known): Promise<SigningSource> {
  return answer.promise.catch((error: unknown) => {
    if (isPassing(error)) return source;
    throw error;
  });
}

/** Whether the database may well answer the same question a moment later. */
function isPassing(error: unknown): boolean {
  if (error instanceof AppError) return error.code === "unavailable";
  return isPassingDbError(error);
}

type Questions = {
  /** The question about a key, asked now unless it is under way; undefined when there are too many. */
  about(key: Key, now: number): Question | undefined;
  /** From now on nobody gets the answer to an earlier question, and none is remembered. */
  anew(): void;
};

/** Asks the database, few statements at a time, and tells `remember` what it has, or that it has nothing. */
function createQuestions(
  db: Queryable,
  { bounds, nowMs }: { readonly bounds: SourceCacheBounds; readonly nowMs: () => number },
  remember: (key: Key, at: number, source: SigningSource | undefined) => void,
): Questions {
  const underWay = new Map<Key, Question>();
  let gathering: Question[] = [];
  let unanswered = 0;
  let lookUps = 0;
  /** Counts the changes: what was asked before one is answered, and not remembered. */
  let changes = 0;

  function close(question: Question): PromiseWithResolvers<SigningSource> {
    unanswered--;
    if (underWay.get(question.key) === question) underWay.delete(question.key);
    return question.answer;
  }

  async function lookUp(batch: readonly Question[]): Promise<void> {
    const [at, changesThen] = [nowMs(), changes];
    for (const question of batch) question.attempts++;
    let found: ReadonlyMap<Key, SigningSource>;
    try {
      const keys = batch.map(({ key }) => key);
      found = await withTimeLimit(bounds.lookUpMaxMs, late, (signal) => lookUpSources(db, keys, signal));
    } catch (error) {
      const again = isPassing(error);
      for (const question of batch) {
        if (again && question.attempts < attemptsMax) gathering.push(question);
        else close(question).reject(error);
      }
      return;
    }
    for (const question of batch) {
      const source = found.get(question.key);
      if (changes === changesThen) remember(question.key, at, source);
      if (source === undefined) close(question).reject(unknownSource(question.key));
      else close(question).resolve(source);
    }
  }

  async function send(): Promise<void> {
    lookUps++;
    while (gathering.length > 0) {
      const batch = gathering;
      gathering = [];
      await lookUp(batch);
    }
    lookUps--;
  }

  return {
    about: (key, now) => {
      const before = underWay.get(key);
      if (before !== undefined) return before;
      if (unanswered >= bounds.questionsMax) return undefined;
      unanswered++;
      const answer = Promise.withResolvers<SigningSource>();
      const question = { key, askedAt: now, answer, attempts: 0, answerOrKnown: undefined };
      underWay.set(key, question);
      gathering.push(question);
      if (lookUps < bounds.lookUpsMax) void send();
      return question;
    },
    anew: () => {
      changes++;
      underWay.clear();
      // What has not been sent will be answered by what is there then.
      for (const question of gathering) underWay.set(question.key, question);
    },
  };
}

function late(): AppError {
  return new AppError("unavailable", {
    detail: "the database does not answer in time",
    retryAfterS: 1,
    cause: new Error("the look-up of sources took too long"),
  });
}

export function unknownSource(key: Key): AppError {
  return new AppError("unknown_source", { detail: `there is no source "${key}"` });
}

type SourceRow = {
  readonly id: number;
  readonly name: string;
  readonly scheme: SourceScheme;
  readonly created_at: Date;
  readonly secrets: readonly string[];
};

/** The sources behind these names and ids, from the database itself; what is not there is not in the answer. */
export async function lookUpSources(
  db: Queryable,
  keys: readonly Key[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<Key, SigningSource>> {
  const { rows } = await db.query<SourceRow>(
    `select id, name, scheme, created_at,
            array_remove(array[secret, case when previous_secret_until > now() then previous_secret end], null) as secrets
       from inbox_source where removed_at is null and (name = any($1::text[]) or id = any($2::bigint[]))`,
    [keys.filter((key) => typeof key === "string"), keys.filter((key) => typeof key === "number")],
    signal === undefined ? {} : { signal },
  );
  const sources = rows.map(({ created_at: createdAt, ...row }) => ({ ...row, createdAt }));
  return new Map<Key, SigningSource>(
    sources.flatMap((source) => [
      [source.name, source],
      [source.id, source],
    ]),
  );
}
