import type { Message } from "./ledger.ts";

/** A message as the database holds it, in the inbox or in the log. */
export type Stored = { readonly id: string; readonly externalId: string; readonly contact: string };

export type Findings = {
  /** Acknowledged and not there. */
  readonly lost: readonly string[];
  /** There more than once. */
  readonly doubled: readonly string[];
  /** There and never sent. */
  readonly invented: readonly string[];
  /** Not as it was sent or acknowledged: another id, another contact. */
  readonly changed: readonly string[];
  /** Stored before a message that was acknowledged before this one was sent. */
  readonly disordered: readonly string[];
};

/** Compares what was sent with what is stored; `stored` in the order in which the server says that it came. */
export function compare(sent: readonly Message[], stored: readonly Stored[]): Findings {
  const byExternalId = new Map(sent.map((message) => [message.externalId, message]));
  const seen = new Set<string>();
  const doubled: string[] = [];
  const invented: string[] = [];
  const changed: string[] = [];
  const inOrder: Message[] = [];
  for (const { id, externalId, contact } of stored) {
    const message = byExternalId.get(externalId);
    if (message === undefined) invented.push(externalId);
    else if (seen.has(externalId)) doubled.push(externalId);
    else {
      if (contact !== contactOf(message) || (message.id !== undefined && message.id !== id)) {
        changed.push(externalId);
      }
      inOrder.push(message);
    }
    seen.add(externalId);
  }
  const lost = sent.filter(({ id, externalId }) => id !== undefined && !seen.has(externalId));
  return {
    lost: lost.map(({ externalId }) => externalId),
    doubled,
    invented,
    changed,
    disordered: disorder(inOrder),
  };
}

/**
 * Messages of one contact that lie behind one that was sent only after they had been acknowledged. That covers what a
 * connection sent one after the other, and what several connections did.
 */
function disorder(inOrder: readonly Message[]): readonly string[] {
  const latestSentMs = new Map<string, number>();
  const found: string[] = [];
  for (const message of inOrder) {
    const contact = contactOf(message);
    const latest = latestSentMs.get(contact) ?? -Infinity;
    if ((message.acknowledgedMs ?? Infinity) < latest) found.push(message.externalId);
    latestSentMs.set(contact, Math.max(latest, message.firstSentMs));
  }
  return found;
}

/** A contact as one source knows them. */
export function contactOf(message: Pick<Message, "source" | "contact">): string {
  return `${message.source} ${message.contact}`;
}
