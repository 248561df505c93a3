import { errorRules } from "../../../protocol/errors.ts";
import { PaymentEvent, eventIdPattern } from "../../../protocol/wallet.ts";
import type { RefusedRequest } from "../../deps.ts";
import type { Logger } from "../../lib/logger.ts";
import { paymentIdOf } from "./credit.ts";

const eventId = new RegExp(eventIdPattern);
const fieldNames = new Set(Object.keys(PaymentEvent.properties));

/**
 * Leaves a warning of an event that is really a provider's and is refused for what is in it: somebody may have paid and have nothing.
 * It says where the fault is and nothing of what the event says but its id. What only has to be told again has lines of its own.
 */
export function noteRefused(
  log: Pick<Logger, "warn">,
  provider: string,
  { code, details, rawText, requestId }: RefusedRequest,
): void {
  if (errorRules[code].status >= 500) return;
  const id = eventIdIn(rawText);
  log.warn(
    {
      request_id: requestId,
      provider,
      code,
      pointers: (details.fields ?? []).map(({ pointer }) => knownPointer(pointer)),
      ...(id === undefined ? {} : { event_id: id, payment: paymentIdOf({ provider, eventId: id }) }),
    },
    "a payment is refused",
  );
}

/** A field that there is not may be called by anything, a name among others. */
function knownPointer(pointer: string): string {
  const [, name = ""] = pointer.split("/");
  return name === "" || fieldNames.has(name) ? pointer : "/…";
}

function eventIdIn(text: string | undefined): string | undefined {
  let event: unknown;
  try {
    event = JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
  if (typeof event !== "object" || event === null || !("event_id" in event)) return undefined;
  const { event_id: id } = event;
  return typeof id === "string" && eventId.test(id) ? id : undefined;
}
