import type { Notification } from "../../../../protocol/notifications.ts";
import type { Preferences } from "../../../../protocol/preferences.ts";
import { type Db, type Queryable, type Tx, arrayLiteral } from "../../../lib/db.ts";
import { type NotificationRow, toNotification } from "../notification-row.ts";

/** A push that is to be made, and what decides whether and how. */
export type DuePush = {
  /** Its name among what is due, which it keeps when the notification gets another id. */
  readonly dueId: string;
  readonly subscriptionId: number;
  readonly notificationId: string;
  readonly userId: number;
  /** When the log accepted the entry that tells of the notification. */
  readonly toldAt: Date;
  /** Calls that have failed so far. */
  readonly failures: number;
  readonly endpoint: string;
  readonly p256dh: Buffer;
  readonly auth: Buffer;
  readonly renewedAt: Date;
  /** Whether the sign-in that the subscription belongs to goes on, and the person may still sign in. */
  readonly signedIn: boolean;
  readonly preferences: Preferences | null;
  /** Undefined once it is not unread any more, has ended or is gone, or the browser is somebody else's. */
  readonly notification: Notification | undefined;
};

export type Settled = {
  /** Pushes that are over, whatever came of them. */
  readonly done: readonly DuePush[];
  /** Those of them that a push service took. */
  readonly sent: readonly DuePush[];
  /** Those whose subscription is over. */
  readonly gone: readonly DuePush[];
  readonly again: readonly { readonly push: DuePush; readonly atMs: number; readonly failures: number }[];
};

type DueRow = Omit<NotificationRow, "id" | "user_id"> & {
  readonly id: string | null;
  readonly due_id: string;
  readonly subscription_id: number;
  readonly notification_id: string;
  readonly user_id: number;
  readonly told_at: Date;
  readonly failures: number;
  readonly endpoint: string;
  readonly p256dh: Buffer;
  readonly auth: Buffer;
  readonly renewed_at: Date;
  readonly signed_in: boolean;
  readonly preferences: Preferences | null;
};

/**
 * Takes pushes that are due, the oldest first. They are due again when the lease ends, unless they are settled before:
 * nobody else takes them meanwhile, and what a crash leaves is taken once more.
 */
export async function takeDue(
  db: Queryable,
  { rowsMax, leaseMs }: { readonly rowsMax: number; readonly leaseMs: number },
  nowMs: number,
): Promise<readonly DuePush[]> {
  // By an array: joined, a plan that was made while the table was small would read all of it when it has grown.
  const { rows } = await db.query<DueRow>(
    `with due as materialized (
       select id from notification_push_due where due_at <= $1 order by due_at limit $2 for update skip locked),
     taken as (
       update notification_push_due d set due_at = $3 where d.id = any(array(select id from due))
       returning d.id as due_id, d.subscription_id, d.notification_id, d.user_id, d.told_at, d.failures)
     select t.*, s.endpoint, s.p256dh, s.auth, s.renewed_at, p.preferences,
            u.disabled_at is null
              and (s.session_id is null or (e.ended_at is null and e.expires_at > $1)) as signed_in,
            n.id, n.stream_ms, n.stream_n, n.state, n.message, n.source, n.category, n.critical, n.link, n.gathered,
            n.created_at, n.expires_at
       from taken t
       join notification_push_subscription s on s.id = t.subscription_id
       join account_user u on u.id = t.user_id
       left join account_session e on e.id = s.session_id
       left join notification_person p on p.user_id = t.user_id
       left join notification n
         on n.id = t.notification_id and n.user_id = t.user_id and n.user_id = s.user_id
        and n.state = 'unread' and n.expires_at > $1
      order by t.told_at, t.notification_id, t.subscription_id`,
    [new Date(nowMs), rowsMax, new Date(nowMs + leaseMs)],
    { name: "notification_push_take" },
  );
  return rows.map(toDuePush);
}

function toDuePush({ id, ...row }: DueRow): DuePush {
  return {
    dueId: row.due_id,
    subscriptionId: row.subscription_id,
    notificationId: row.notification_id,
    userId: row.user_id,
    toldAt: row.told_at,
    failures: row.failures,
    endpoint: row.endpoint,
    p256dh: row.p256dh,
    auth: row.auth,
    renewedAt: row.renewed_at,
    signedIn: row.signed_in,
    preferences: row.preferences,
    notification: id === null ? undefined : toNotification({ ...row, id }),
  };
}

/** What is still to be pushed under one id is pushed under another, which has taken its place for the person. */
export async function moveDue(
  tx: Tx,
  moved: readonly { readonly userId: number; readonly from: string; readonly to: string }[],
): Promise<void> {
  await tx.query(
    `update notification_push_due d set notification_id = k.fresh
       from unnest($1::bigint[], $2::uuid[], $3::uuid[]) k(user_id, old, fresh)
       join notification_push_subscription s on s.user_id = k.user_id
      where d.subscription_id = s.id and d.notification_id = k.old and d.user_id = k.user_id`,
    [
      arrayLiteral(moved.map(({ userId }) => userId)),
      arrayLiteral(moved.map(({ from }) => from)),
      arrayLiteral(moved.map(({ to }) => to)),
    ],
  );
}

/** Writes down what has become of pushes. Of what is gone meanwhile nothing is written. */
export async function settlePushes(
  db: Pick<Db, "transaction">,
  settled: Settled,
  nowMs: number,
): Promise<void> {
  await db.transaction(async (tx) => {
    await lockSubscriptions(tx, [...settled.gone, ...settled.sent]);
    await removeSubscriptions(tx, settled.gone);
    await removeDue(tx, settled.done);
    await noteSent(tx, settled.sent, nowMs);
    await postpone(tx, settled.again);
  });
}

/** In the order in which the consumer does that inserts what is due: who waits for each other would wait for ever. */
async function lockSubscriptions(tx: Tx, pushes: readonly DuePush[]): Promise<void> {
  if (pushes.length === 0) return;
  await tx.query(
    "select from notification_push_subscription where id = any($1::bigint[]) order by id for update",
    [arrayLiteral(pushes.map(({ subscriptionId }) => subscriptionId))],
  );
}

/** Not if the browser has said meanwhile that it is there, perhaps for somebody else. */
async function removeSubscriptions(tx: Tx, gone: readonly DuePush[]): Promise<void> {
  if (gone.length === 0) return;
  await tx.query(
    `delete from notification_push_subscription s using unnest($1::bigint[], $2::timestamptz[]) k(id, renewed_at)
      where s.id = k.id and s.renewed_at = k.renewed_at`,
    [arrayLiteral(gone.map(({ subscriptionId }) => subscriptionId)), gone.map(({ renewedAt }) => renewedAt)],
  );
}

async function removeDue(tx: Tx, done: readonly DuePush[]): Promise<void> {
  if (done.length === 0) return;
  await tx.query(
    "delete from notification_push_due where id = any($1::uuid[])",
    [arrayLiteral(done.map(({ dueId }) => dueId))],
    { name: "notification_push_done" },
  );
}

async function noteSent(tx: Tx, sent: readonly DuePush[], nowMs: number): Promise<void> {
  if (sent.length === 0) return;
  const ids = [...new Set(sent.map(({ subscriptionId }) => subscriptionId))];
  await tx.query("update notification_push_subscription set last_ok_at = $2 where id = any($1::bigint[])", [
    arrayLiteral(ids),
    new Date(nowMs),
  ]);
}

async function postpone(tx: Tx, again: Settled["again"]): Promise<void> {
  if (again.length === 0) return;
  await tx.query(
    `update notification_push_due d set due_at = k.due_at, failures = k.failures
       from unnest($1::uuid[], $2::timestamptz[], $3::int[]) k(id, due_at, failures) where d.id = k.id`,
    [
      arrayLiteral(again.map(({ push }) => push.dueId)),
      again.map(({ atMs }) => new Date(atMs)),
      arrayLiteral(again.map(({ failures }) => failures)),
    ],
  );
}
