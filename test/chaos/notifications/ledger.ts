/** What one request tells people. Times are milliseconds of this process's clock. */
export type Told = {
  readonly id: string;
  readonly userId: number;
  readonly text: string;
  /** It does not end within the run. */
  readonly lasting: boolean;
  readonly acceptedMs: number;
  /** Somebody has said that it is read: from then on it may be told or not. */
  readSent: boolean;
  /** When a device first heard that it is read: from then on it may not be told again. */
  ackedMs: number | undefined;
};

/** What the programs and devices know: what was promised to them, and what they have seen broken. */
export class Ledger {
  readonly told = new Map<string, Told>();
  readonly byPerson = new Map<number, Told[]>();
  /** Texts that were sent to a person, whether they were accepted so far or not. */
  readonly sent = new Set<string>();
  /** Answers that nobody should ever get, and what was heard that should not have been. */
  readonly faults: string[] = [];
  readonly counts = {
    requests: 0,
    accepted: 0,
    unknown: 0,
    refused: 0,
    pushed: 0,
    acked: 0,
    connections: 0,
    reads: 0,
  };
  inFlight = 0;
  /** When something was killed last, or was back after it. */
  disturbedMs = 0;

  send(text: string, userIds: readonly number[]): void {
    for (const userId of userIds) this.sent.add(sentKey(userId, text));
  }

  /** What was heard before it was accepted is known already. */
  note(id: string, userId: number, text: string, lasting: boolean): Told {
    const known = this.told.get(id);
    if (known !== undefined) return known;
    const told = {
      id,
      userId,
      text,
      lasting,
      acceptedMs: performance.now(),
      readSent: false,
      ackedMs: undefined,
    };
    this.told.set(id, told);
    const own = this.byPerson.get(userId);
    if (own === undefined) this.byPerson.set(userId, [told]);
    else own.push(told);
    return told;
  }

  fault(sentence: string): void {
    this.faults.push(sentence);
  }
}

export function sentKey(userId: number, text: string): string {
  return `${userId} ${text}`;
}
