import type { Queryable, Tx } from "../../lib/db.ts";
import {
  type KnownRequest,
  type NotifyDecision,
  type NotifyFacts,
  type NotifyRequest,
  requestKey,
} from "./decide-notify.ts";

type Requests = Pick<NotifyFacts, "known" | "inFlight">;

/** Whatever may be asked for under a key. */
type Keyed = Pick<NotifyRequest, "actor" | "idempotency">;

/** Takes the keys for this transaction; a key that another one has is in flight. What was done before is found. */
export async function findRequests(tx: Tx, requests: readonly Keyed[]): Promise<Requests> {
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

/** Writes what was answered, in the transaction of its effect. */
export async function rememberRequests(
  db: Queryable,
  keyed: NotifyDecision["keyed"],
  nowMs: number,
): Promise<void> {
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
