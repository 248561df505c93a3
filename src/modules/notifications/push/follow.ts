import type { Consumer } from "../../../eventlog/consumer.ts";
import type { Entry } from "../../../eventlog/eventlog.ts";
import { type Tx, arrayLiteral } from "../../../lib/db.ts";

/** How long after it was told a notification is pushed, milliseconds: who has just lost a connection comes back first. */
export const pushAfterMs = 5_000;

/** Whoever is told something and has subscribed a browser is to be pushed it, unless they hear or read it before. */
export function followForPush(): Consumer {
  return {
    group: "notifications-push",
    kind: "reaction",
    types: ["notification.created"],
    start: "head",
    onPoison: "skip",
    batchMax: 1_000,
    attemptsMax: 5,
    handle: insertDue,
  };
}

/**
 * The entry's id and topic say nearly all that is needed: an entry has the id of its notification, and what that says is
 * looked up when it is pushed. So what was redacted is not pushed: by then it is gone. What only says again what was told
 * before is not pushed either; no text within a text looks like its field, whose quotes would be escaped.
 */
async function insertDue(entries: readonly Entry[], tx: Tx): Promise<void> {
  const own = entries.filter(
    ({ topic, data }) => topic.startsWith("user/") && !data.includes('"again":true'),
  );
  if (own.length === 0) return;
  // Locked first, in the order of their ids: one that goes meanwhile is not there, and nobody waits in a circle.
  await tx.query(
    `with s as materialized (
       select id, user_id from notification_push_subscription where user_id = any($2::bigint[])
        order by id for key share)
     insert into notification_push_due (subscription_id, notification_id, user_id, told_at, due_at)
     select s.id, k.notification_id, k.user_id, k.told_at, k.told_at + $4 * interval '1 millisecond'
       from unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) k(notification_id, user_id, told_at)
       join s on s.user_id = k.user_id
     on conflict do nothing`,
    [
      arrayLiteral(own.map(({ id }) => id)),
      arrayLiteral(own.map(({ topic }) => topic.slice("user/".length))),
      own.map(({ time }) => new Date(time)),
      pushAfterMs,
    ],
    { name: "notification_push_insert" },
  );
}
