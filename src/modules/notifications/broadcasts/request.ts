import { hash } from "node:crypto";
import type { NewBroadcast } from "../../../../protocol/broadcasts.ts";
import { defaultCategory } from "../../../../protocol/notifications.ts";
import type { Deps } from "../../../deps.ts";
import type { Idempotency } from "../decide-notify.ts";
import { calendarTime } from "../calendar-time.ts";

/** Something that a program wants everybody to be told, checked and with its defaults. */
export type BroadcastRequest = {
  readonly message: string;
  readonly source: string;
  readonly createdAt: string | undefined;
  readonly ttlS: number;
  readonly category: string;
  readonly critical: boolean;
  readonly link: string | null;
  readonly actor: string;
  readonly idempotency: Idempotency | undefined;
};

export function toBroadcastRequest(
  body: NewBroadcast,
  actor: string,
  key: string | undefined,
  ttls: Deps["config"]["notificationTtls"],
): BroadcastRequest {
  const { created_at: createdAt, category = defaultCategory, critical = false, link = null } = body;
  const message = body.message.trim();
  const source = body.source.trim();
  // Whom it is for stands first, where a notification's request has its targets.
  const said = ["everybody", message, source, createdAt, body.ttl_s, category, critical, link];
  return {
    message,
    source,
    createdAt: createdAt === undefined ? undefined : calendarTime(createdAt, "/created_at"),
    ttlS: body.ttl_s ?? ttls.bySource.get(source) ?? ttls.defaultS,
    category,
    critical,
    link,
    actor,
    idempotency:
      key === undefined ? undefined : { key, fingerprint: hash("sha256", JSON.stringify(said), "hex") },
  };
}
