import { ECDH } from "node:crypto";
import { limits } from "../../../../protocol/limits.ts";
import type { NewPushSubscription, PushSubscriptionView } from "../../../../protocol/push.ts";
import type { Deps } from "../../../deps.ts";
import type { Db, Queryable, Tx } from "../../../lib/db.ts";
import { AppError } from "../../../lib/errors.ts";
import type { PushHosts } from "./hosts.ts";

export type Subscriber = { readonly userId: number; readonly sessionId: string | undefined };

type SubscribeDeps = Pick<Deps, "db" | "clock"> & { readonly hosts: PushHosts };

/**
 * Subscribes a browser for somebody. The same browser again is the same subscription, of whoever is signed in there now
 * and for as long as that sign-in lasts. Throws `invalid_body`.
 */
export async function subscribePush(
  { db, clock, hosts }: SubscribeDeps,
  { userId, sessionId }: Subscriber,
  { endpoint, keys }: NewPushSubscription,
): Promise<{ readonly id: number; readonly isNew: boolean }> {
  const fault = hosts.fault(endpoint);
  if (fault !== undefined) throw invalid("/endpoint", `must be ${fault}`);
  const p256dh = Buffer.from(keys.p256dh, "base64url");
  if (!isPoint(p256dh)) throw invalid("/keys/p256dh", "must be a point of the curve P-256, uncompressed");
  const auth = Buffer.from(keys.auth, "base64url");
  const now = new Date(clock.now());
  return db.transaction(async (tx) => {
    // Subscriptions of one person are counted by one at a time.
    await tx.query("select from account_user where id = $1 for no key update", [userId]);
    const { rows } = await tx.query<{ id: number; is_new: boolean }>(
      `insert into notification_push_subscription as s (user_id, session_id, endpoint, p256dh, auth, created_at, renewed_at)
       values ($1, $2, $3, $4, $5, $6, $6)
       on conflict (endpoint) do update
         set user_id = $1, session_id = $2, p256dh = $4, auth = $5, renewed_at = $6,
             created_at = case when s.user_id = $1 then s.created_at else $6 end
       returning id, xmax = 0 as is_new`,
      [userId, sessionId ?? null, endpoint, p256dh, auth, now],
    );
    const [{ id, is_new: isNew } = { id: 0, is_new: false }] = rows;
    if (!isNew) await forgetFormer(tx, id, userId);
    await makeRoom(tx, userId, id);
    return { id, isNew };
  });
}

/** What was due for whoever used the browser before. */
async function forgetFormer(tx: Tx, id: number, userId: number): Promise<void> {
  await tx.query("delete from notification_push_due where subscription_id = $1 and user_id <> $2", [
    id,
    userId,
  ]);
}

/** Of more than a person may have, those go of which neither browser nor push service was heard for longest. */
async function makeRoom(tx: Tx, userId: number, newest: number): Promise<void> {
  await tx.query(
    `delete from notification_push_subscription where id in (
       select id from notification_push_subscription where user_id = $1 and id <> $2
        order by greatest(renewed_at, last_ok_at) desc, id desc offset $3)`,
    [userId, newest, limits.pushSubscriptionsPerPerson - 1],
  );
}

/** The browsers of somebody that are signed in, in the order in which they were subscribed. */
export async function listPushSubscriptions(
  db: Queryable,
  userId: number,
  nowMs: number,
): Promise<readonly PushSubscriptionView[]> {
  const { rows } = await db.query<{
    id: number;
    endpoint: string;
    created_at: Date;
    last_ok_at: Date | null;
  }>(
    `select s.id, s.endpoint, s.created_at, s.last_ok_at
       from notification_push_subscription s left join account_session e on e.id = s.session_id
      where s.user_id = $1 and (s.session_id is null or (e.ended_at is null and e.expires_at > $2))
      order by s.created_at, s.id`,
    [userId, new Date(nowMs)],
  );
  return rows.map((row) => ({
    id: row.id,
    host: new URL(row.endpoint).host,
    created_at: row.created_at.toISOString(),
    last_ok_at: row.last_ok_at?.toISOString() ?? null,
  }));
}

/** One that is gone already, or is somebody else's, is no fault. */
export async function unsubscribePush(db: Pick<Db, "query">, userId: number, id: number): Promise<void> {
  await db.query("delete from notification_push_subscription where id = $1 and user_id = $2", [id, userId]);
}

function isPoint(key: Buffer): boolean {
  // 4 stands before a point that is not compressed.
  if (key.length !== 65 || key[0] !== 4) return false;
  try {
    ECDH.convertKey(key, "prime256v1");
    return true;
  } catch {
    return false;
  }
}

function invalid(pointer: string, detail: string): AppError {
  return new AppError("invalid_body", {
    detail: `${pointer} ${detail}`,
    fields: [{ pointer, code: "pattern", detail }],
  });
}
