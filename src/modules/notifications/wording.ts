import { hash } from "node:crypto";
import { type Notify, defaultCategory } from "../../../protocol/notifications.ts";
import type { Deps } from "../../deps.ts";
import { calendarTime } from "./calendar-time.ts";

/** What a program wants somebody to be told, whoever that is: checked and with its defaults. */
export type Wording = {
  readonly message: string;
  readonly source: string;
  /** As the sender says, RFC 3339; when it was accepted unless they do. */
  readonly createdAt: string | undefined;
  readonly ttlS: number;
  readonly category: string;
  readonly critical: boolean;
  readonly link: string | null;
  /** Who asks, as entries name them. */
  readonly actor: string;
  readonly idempotency: Idempotency | undefined;
};

/** `fingerprint`: of all that the request says, in hexadecimal digits. */
export type Idempotency = { readonly key: string; readonly fingerprint: string };

/** `toWhom`: belongs to what the request says. Throws `invalid_body` for a day that no calendar has. */
export function wordingOf(
  body: Omit<Notify, "target">,
  from: { readonly actor: string; readonly key: string | undefined; readonly toWhom: unknown },
  ttls: Deps["config"]["notificationTtls"],
): Wording {
  const { created_at: createdAt, ttl_s, category = defaultCategory, critical = false, link = null } = body;
  const message = body.message.trim();
  const source = body.source.trim();
  const { actor, key, toWhom } = from;
  const said = [toWhom, message, source, createdAt, ttl_s, category, critical, link];
  return {
    message,
    source,
    createdAt: createdAt === undefined ? undefined : calendarTime(createdAt, "/created_at"),
    ttlS: ttl_s ?? ttls.bySource.get(source) ?? ttls.defaultS,
    category,
    critical,
    link,
    actor,
    idempotency:
      key === undefined ? undefined : { key, fingerprint: hash("sha256", JSON.stringify(said), "hex") },
  };
}
