/** One message of the test, from its first sending on. Times are milliseconds of this process's clock. */
export type Message = {
  /** 32 hexadecimal digits, unique in the run. */
  readonly externalId: string;
  readonly source: string;
  readonly contact: string;
  readonly connection: number;
  readonly text: string;
  readonly firstSentMs: number;
  /** When its first acknowledgement arrived. */
  acknowledgedMs?: number;
  /** The id that the server gave it. */
  id?: string;
};

/** What the clients know: what they sent, and what the server has promised them. */
export class Ledger {
  readonly messages: Message[] = [];
  /** Requests, repetitions included. */
  requests = 0;
  acknowledged = 0;
  inFlight = 0;
  /** Requests whose connection broke or that got no answer in time: their fate was unknown. */
  unknown = 0;
  /** Answers by status. */
  readonly answers = new Map<number, number>();
  /** Answers that no client should ever get, whatever is being killed. */
  readonly faults: string[] = [];
  #checked = 0;

  send(message: Message): void {
    this.messages.push(message);
  }

  answer(status: number): void {
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
  }

  acknowledge(message: Message, id: string): void {
    if (message.id !== undefined && message.id !== id) {
      this.faults.push(`message ${message.externalId} was answered as ${message.id} and as ${id}`);
    }
    if (message.acknowledgedMs !== undefined) return;
    message.acknowledgedMs = performance.now();
    message.id = id;
    this.acknowledged++;
  }

  /** Acknowledged messages that no round has checked yet. Those still on their way come with the next round. */
  takeUnchecked(): readonly Message[] {
    const fresh = this.messages.slice(this.#checked);
    const waiting = fresh.findIndex(({ id }) => id === undefined);
    this.#checked += waiting === -1 ? fresh.length : waiting;
    return fresh.filter(({ id }) => id !== undefined);
  }
}
