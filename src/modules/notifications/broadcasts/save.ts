import type { BroadcastAccepted, BroadcastCreatedData } from "../../../../protocol/broadcasts.ts";
import { uuidv7 } from "../../../../protocol/ids.ts";
import { limits } from "../../../../protocol/limits.ts";
import type { Notification } from "../../../../protocol/notifications.ts";
import { topics } from "../../../../protocol/topics.ts";
import type { Deps } from "../../../deps.ts";
import { jsonText } from "../../../eventlog/eventlog.ts";
import type { Queryable, Tx } from "../../../lib/db.ts";
import { AppError } from "../../../lib/errors.ts";
import { type Ledger, lockLedger, nextPlace, saveLedger } from "./ledger.ts";
import type { Wording } from "../wording.ts";
import { inFlight, keyUsed } from "../decide-notify.ts";
import { streamIdOf } from "../person-state.ts";
import { findRequests, rememberRequests } from "../requests.ts";

export type BroadcastDeps = Pick<Deps, "db" | "eventlog" | "clock">;

/** `replayed`: it was done before, and nothing was done now. */
export type BroadcastAnswer = { readonly accepted: BroadcastAccepted; readonly replayed: boolean };

/**
 * Tells everybody something: one row and one entry, however many they are. Throws `conflict` when as many live as may,
 * `idempotency_mismatch`, `request_in_flight`.
 */
export async function saveBroadcast(
  { db, eventlog, clock }: BroadcastDeps,
  request: Wording,
): Promise<BroadcastAnswer> {
  return db.transaction(async (tx) => {
    const earlier = await findEarlier(tx, request);
    if (earlier !== undefined) return { accepted: earlier, replayed: true };
    const ledger = await lockLedger(tx);
    // After the lock: whoever had to wait for it must not count what has ended meanwhile.
    const nowMs = clock.now();
    await requireRoom(tx, nowMs);
    const place = nextPlace(ledger, nowMs);
    const version = ledger.version + 1;
    const broadcast = broadcastOf(request, place, nowMs);
    await insertBroadcast(tx, broadcast, place, version);
    await saveLedger(tx, { version, ...place });
    const { notification_id: id, stream_id, expires_at } = broadcast;
    const accepted: BroadcastAccepted = { broadcast_id: id, stream_id, expires_at };
    const { actor, idempotency } = request;
    if (idempotency !== undefined)
      await rememberRequests(tx, [{ actor, idempotency, answer: JSON.stringify(accepted) }], nowMs);
    const data: BroadcastCreatedData = { broadcast, version };
    await eventlog.appendIn(tx, [
      { id, topic: topics.everybody(), type: "broadcast.created", actor, data: jsonText(data) },
    ]);
    return { accepted, replayed: false };
  });
}

async function findEarlier(tx: Tx, request: Wording): Promise<BroadcastAccepted | undefined> {
  const { idempotency } = request;
  if (idempotency === undefined) return undefined;
  const requests = await findRequests(tx, [request]);
  if (requests.inFlight.size > 0) throw inFlight();
  const [known] = requests.known.values();
  if (known === undefined) return undefined;
  if (known.fingerprint !== idempotency.fingerprint) throw keyUsed();
  return JSON.parse(known.answer) as BroadcastAccepted;
}

async function requireRoom(db: Queryable, nowMs: number): Promise<void> {
  const { rows } = await db.query<{ living: number }>(
    "select count(*)::int as living from notification_broadcast where expires_at > $1",
    [new Date(nowMs)],
  );
  if ((rows[0]?.living ?? 0) < limits.broadcasts) return;
  const detail = `${limits.broadcasts} broadcasts live already: withdraw one, or wait until one ends`;
  throw new AppError("conflict", { detail });
}

function broadcastOf(
  { message, source, createdAt, ttlS, category, critical, link }: Wording,
  place: Pick<Ledger, "streamMs" | "streamN">,
  nowMs: number,
): Notification {
  return {
    notification_id: uuidv7(),
    stream_id: streamIdOf(place),
    message,
    created_at: createdAt ?? new Date(nowMs).toISOString(),
    source,
    status: "unread",
    category,
    critical,
    link,
    gathered: 1,
    expires_at: new Date(nowMs + ttlS * 1_000).toISOString(),
  };
}

async function insertBroadcast(
  db: Queryable,
  broadcast: Notification,
  { streamMs, streamN }: Pick<Ledger, "streamMs" | "streamN">,
  version: number,
): Promise<void> {
  const { notification_id: id, message, source, category, critical, link } = broadcast;
  await db.query(
    `insert into notification_broadcast
       (id, version, stream_ms, stream_n, message, source, category, critical, link, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      id,
      version,
      streamMs,
      streamN,
      message,
      source,
      category,
      critical,
      link,
      broadcast.created_at,
      broadcast.expires_at,
    ],
  );
}
