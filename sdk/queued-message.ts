import type { PendingMessage } from "./chat-view.ts";
import { type TidingsError, needsSignIn } from "./errors.ts";

/** Messages that wait to be sent, of one person on one device. */
export const queueMessagesMax = 500;
/** What they take in the storage together, bytes of UTF-8. */
export const queueBytesMax = 1_048_576;
/** Messages that are on their way at the same time: one of a room at most. */
export const sendsInFlightMax = 4;

/** What somebody wrote, until the server has it for certain. */
export type QueuedMessage = PendingMessage & {
  /** Its place in the order in which messages were written. */
  readonly n: number;
  /** Whether the storage has it. It is not sent before. */
  readonly stored: boolean;
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly message: string };
};

/** The text that the storage keeps of a message. */
export function storedText({ stored: _stored, status, ...rest }: QueuedMessage): string {
  // Whether one that was on its way has arrived, nobody knows after a reload: it is sent again, with its id.
  return JSON.stringify({ ...rest, status: status === "failed" ? "failed" : "queued" });
}

/** Undefined for what this version did not write. */
export function parseStored(text: string): QueuedMessage | undefined {
  try {
    const value = JSON.parse(text) as QueuedMessage;
    const whole = typeof value.client_msg_id === "string" && typeof value.room_id === "number";
    return whole && typeof value.n === "number" ? { ...value, stored: true } : undefined;
  } catch {
    return undefined;
  }
}

/** In the order in which they were written. Two tabs may have given the same number. */
export function inOrder(a: QueuedMessage, b: QueuedMessage): number {
  return a.n - b.n || (a.client_msg_id < b.client_msg_id ? -1 : 1);
}

/**
 * What to send next: of each room the first message that has not failed, unless one of the room is on its way or the
 * room is in a pause. So a room's messages arrive in the order in which they were written, also when they are retried.
 */
export function nextToSend(
  messages: readonly QueuedMessage[],
  isPaused: (roomId: number) => boolean,
): readonly QueuedMessage[] {
  const seen = new Set<number>();
  const heads = messages.filter((message) => {
    if (message.status === "failed" || seen.has(message.room_id)) return false;
    seen.add(message.room_id);
    return true;
  });
  const underway = heads.filter(({ status }) => status === "in_flight").length;
  return heads
    .filter(({ status, stored, room_id }) => status === "queued" && stored && !isPaused(room_id))
    .slice(0, Math.max(0, sendsInFlightMax - underway));
}

/**
 * Whether to send a message again, with the same id: when nobody knows what became of it, when the server could not
 * take it this time, and when somebody has to sign in first. Anything else is a refusal, which would come again.
 */
export function isWorthRetrying(error: TidingsError): boolean {
  return error.retry === "later" || error.code === "aborted" || needsSignIn(error);
}
