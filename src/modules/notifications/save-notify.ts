import { limits } from "../../../protocol/limits.ts";
import { topics } from "../../../protocol/topics.ts";
import type { NotificationCreatedData } from "../../../protocol/notifications.ts";
import { usernamesOf } from "../../access/people.ts";
import type { Deps } from "../../deps.ts";
import { type NewEntry, jsonText } from "../../eventlog/eventlog.ts";
import { type Queryable, type Tx, arrayLiteral } from "../../lib/db.ts";
import type { Clock } from "../../lib/clock.ts";
import type { AppError } from "../../lib/errors.ts";
import {
  type FreshNotification,
  type KnownRequest,
  type NotifyAnswer,
  type NotifyDecision,
  type NotifyFacts,
  type NotifyRequest,
  type PersonState,
  decideNotify,
  notificationIdOf,
  requestKey,
} from "./decide-notify.ts";
import { type People, savePeople } from "./people.ts";

export type SaveDeps = Pick<Deps, "db" | "eventlog" | "clock"> & { readonly people: People };

/**
 * Tells people what a batch of requests asks for in one transaction, with a handful of statements whatever its size:
 * locks keys and people, reads what decides, decides, writes, and appends the entries last. Answers each request on its
 * own.
 */
export async function saveNotify(
  { db, eventlog, clock, people }: SaveDeps,
  requests: readonly NotifyRequest[],
  again: boolean,
): Promise<readonly (NotifyAnswer | AppError)[]> {
  return db.transaction(async (tx) => {
    const read = await readFacts(tx, people, requests, clock);
    const facts = again ? { ...read, made: await findMade(tx, requests) } : read;
    const decision = decideNotify(requests, facts);
    await insertNotifications(tx, decision.fresh);
    await savePeople(tx, await makeRoom(tx, decision.people, facts.nowMs));
    await rememberRequests(tx, decision.keyed, facts.nowMs);
    if (decision.fresh.length > 0) await eventlog.appendIn(tx, decision.fresh.map(createdEntry));
    return decision.answers;
  });
}

async function readFacts(
  tx: Tx,
  rows: People,
  requests: readonly NotifyRequest[],
  clock: Clock,
): Promise<NotifyFacts> {
  const { known, inFlight } = await findRequests(tx, requests);
  // Whoever needs no answer from the people needs none of their locks either.
  const ids = new Set<number>();
  for (const { actor, idempotency, targets } of requests) {
    const key = idempotency === undefined ? undefined : requestKey(actor, idempotency.key);
    if (key !== undefined && (known.has(key) || inFlight.has(key))) continue;
    for (const { id } of targets) ids.add(id);
  }
  const usernames = await usernamesOf(tx, [...ids]);
  const { people, nowMs } = await rows.lock(tx, [...usernames.keys()], clock);
  return { usernames, people, known, inFlight, made: new Set(), nowMs };
}

/** What an attempt whose commit was not answered has made. Under the locks of its people, so it has ended. */
async function findMade(tx: Tx, requests: readonly NotifyRequest[]): Promise<ReadonlySet<string>> {
  const ids = requests.flatMap((request) => request.targets.map(({ id }) => notificationIdOf(request, id)));
  const { rows } = await tx.query<{ id: string }>("select id from notification where id = any($1::uuid[])", [
    arrayLiteral(ids),
  ]);
  return new Set(rows.map(({ id }) => id));
}

type Requests = Pick<NotifyFacts, "known" | "inFlight">;

/** Takes the keys for this transaction; a key that another one has is in flight. What was done before is found. */
async function findRequests(tx: Tx, requests: readonly NotifyRequest[]): Promise<Requests> {
  const keyed = new Map(
    requests.flatMap(({ actor, idempotency }) =>
      idempotency === undefined
        ? []
        : [[requestKey(actor, idempotency.key), { actor, key: idempotency.key }] as const],
    ),
  );
  if (keyed.size === 0) return { known: new Map(), inFlight: new Set() };
  const [actors, keys] = [
    [...keyed.values()].map(({ actor }) => actor),
    [...keyed.values()].map(({ key }) => key),
  ];
  // By itself, before the look: what a statement reads beside its locks may be older than they are.
  const { rows: locks } = await tx.query<{ actor: string; key: string; locked: boolean }>(
    `select actor, key, pg_try_advisory_xact_lock(hashtextextended(actor || chr(10) || key, ${lockSeed})) as locked
       from unnest($1::text[], $2::text[]) k(actor, key)`,
    [actors, keys],
  );
  const { rows } = await tx.query<KnownRequest & { actor: string; key: string }>(
    `select r.actor, r.key, encode(r.fingerprint, 'hex') as fingerprint, r.answer
       from unnest($1::text[], $2::text[]) k(actor, key)
       join notification_request r on r.actor = k.actor and r.key = k.key`,
    [actors, keys],
  );
  return {
    known: new Map(rows.map(({ actor, key, ...request }) => [requestKey(actor, key), request])),
    inFlight: new Set(locks.filter(({ locked }) => !locked).map(({ actor, key }) => requestKey(actor, key))),
  };
}

/** Sets these locks apart from other advisory ones; any number. */
const lockSeed = 7_319_204;

/** Who has more than are kept loses the oldest of what they have read: what is unread is never given up for it. */
async function makeRoom(
  tx: Tx,
  people: ReadonlyMap<number, PersonState>,
  nowMs: number,
): Promise<ReadonlyMap<number, PersonState>> {
  // What has ended takes no place: it is removed within a minute.
  const surpluses = [...people].map(([userId, { stored, endedStored }]): [number, number] => {
    return [userId, stored - endedStored - limits.notificationsPerPerson];
  });
  const full = surpluses.filter(([, surplus]) => surplus > 0);
  if (full.length === 0) return people;
  const { rows } = await tx.query<{ user_id: number; removed: number }>(
    `with gone as (
       delete from notification where id in (
         select n.id from unnest($1::bigint[], $2::int[]) k(user_id, surplus) cross join lateral (
           select id from notification where user_id = k.user_id and state in ('read', 'archived') and expires_at > $3
            order by stream_ms, stream_n limit k.surplus) n)
       returning user_id)
     select user_id, count(*)::int as removed from gone group by user_id`,
    [
      arrayLiteral(full.map(([userId]) => userId)),
      arrayLiteral(full.map(([, surplus]) => surplus)),
      new Date(nowMs),
    ],
  );
  const after = new Map(people);
  for (const { user_id: userId, removed } of rows) {
    const state = after.get(userId);
    if (state !== undefined) after.set(userId, { ...state, stored: state.stored - removed });
  }
  return after;
}

async function insertNotifications(db: Queryable, fresh: readonly FreshNotification[]): Promise<void> {
  if (fresh.length === 0) return;
  const all = fresh.map(({ notification }) => notification);
  await db.query(
    `insert into notification (id, user_id, stream_ms, stream_n, message, source, category, critical, link, created_at, expires_at)
     select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[],
                          $8::boolean[], $9::text[], $10::timestamptz[], $11::timestamptz[])`,
    [
      arrayLiteral(all.map(({ notification_id }) => notification_id)),
      arrayLiteral(fresh.map(({ userId }) => userId)),
      arrayLiteral(fresh.map(({ streamMs }) => streamMs)),
      arrayLiteral(fresh.map(({ streamN }) => streamN)),
      all.map(({ message }) => message),
      all.map(({ source }) => source),
      all.map(({ category }) => category),
      arrayLiteral(all.map(({ critical }) => (critical ? "t" : "f"))),
      all.map(({ link }) => link),
      all.map(({ created_at }) => created_at),
      all.map(({ expires_at }) => expires_at),
    ],
    { name: "notification_insert" },
  );
}

async function rememberRequests(db: Queryable, keyed: NotifyDecision["keyed"], nowMs: number): Promise<void> {
  if (keyed.length === 0) return;
  await db.query(
    `insert into notification_request (actor, key, fingerprint, answer, created_at)
     select actor, key, decode(fingerprint, 'hex'), answer, $5
       from unnest($1::text[], $2::text[], $3::text[], $4::text[]) k(actor, key, fingerprint, answer)`,
    [
      keyed.map(({ actor }) => actor),
      keyed.map(({ idempotency }) => idempotency.key),
      keyed.map(({ idempotency }) => idempotency.fingerprint),
      keyed.map(({ answer }) => answer),
      new Date(nowMs),
    ],
  );
}

function createdEntry({ userId, actor, notification, unread, version }: FreshNotification): NewEntry {
  const data: NotificationCreatedData = { notification, unread, version };
  return {
    id: notification.notification_id,
    topic: topics.user(userId),
    type: "notification.created",
    actor,
    data: jsonText(data),
  };
}
