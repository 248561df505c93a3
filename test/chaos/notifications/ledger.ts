import { type Place, comparePlaces } from "./place.ts";
import { type Kind, kindOf, linesOf } from "./texts.ts";

/** What one person is told. Times are milliseconds of this process's clock, but for `endsAt`. */
export type Told = {
  readonly id: string;
  readonly userId: number;
  readonly kind: Kind;
  readonly text: string;
  /** From when on it must be on the devices: accepted, and not held. Infinity until that is known. */
  dueMs: number;
  /** Not before it has ended here, by Unix time. */
  endsAt: number;
  /** Its place among the person's; known when a device has heard of it. */
  place: Place | undefined;
  /** A device has said that it is read: from then on it may be told or not. */
  readSaid: boolean;
  /** When a device first heard that it is read: from then on it may not be told again. */
  ackedMs: number | undefined;
  /** It was accepted, and held. */
  held: boolean;
};

/** What is known of a person. */
export type Account = {
  readonly userId: number;
  /** What is held for this person becomes part of a digest. */
  readonly hasDigests: boolean;
  readonly told: Map<string, Told>;
  /** Texts by when they were first sent to the person, accepted so far or not. */
  readonly sent: Map<string, number>;
  /** How many each digest was said to gather. */
  readonly digests: Map<string, number>;
  /** A device has said that all up to here is read, and when. */
  upTo: { readonly place: Place; readonly saidMs: number } | undefined;
  /** When the person was last done with asking for peace no more; Infinity while that is under way. */
  liftedMs: number;
};

const briefTtlMs = 2_000;

/** What the programs and devices know: what was promised to them, and what they have seen broken. */
export class Ledger {
  readonly people = new Map<number, Account>();
  /** Broadcasts that were sent, and of those that were accepted when they end. */
  readonly shared = new Set<string>();
  readonly sharedEnds = new Map<string, number>();
  /** Answers that nobody should ever get, and what was heard that should not have been. */
  readonly faults: string[] = [];
  readonly counts = {
    requests: 0,
    accepted: 0,
    held: 0,
    unknown: 0,
    refused: 0,
    broadcasts: 0,
    pushed: 0,
    acked: 0,
    connections: 0,
    reads: 0,
    readsOfAll: 0,
    lives: 0,
    shown: 0,
    wishes: 0,
  };
  /** How long devices that were connected waited for what was due, in milliseconds. */
  readonly waits: number[] = [];
  inFlight = 0;
  /** When something was killed last, or was back after it. */
  disturbedMs = 0;

  add(userId: number, { hasDigests }: Pick<Account, "hasDigests">): void {
    this.people.set(userId, {
      userId,
      hasDigests,
      told: new Map(),
      sent: new Map(),
      digests: new Map(),
      upTo: undefined,
      liftedMs: -1,
    });
  }

  of(userId: number): Account {
    const account = this.people.get(userId);
    if (account === undefined) throw new Error(`there is no person ${userId}`);
    return account;
  }

  send(text: string, userIds: readonly number[]): void {
    for (const userId of userIds) this.of(userId).sent.set(text, performance.now());
  }

  /** A program was answered: this id, told at once or held. */
  accept(userId: number, id: string, text: string, held: boolean): void {
    const account = this.of(userId);
    const isHeard = account.told.has(id);
    if (held) this.counts.held++;
    if (held && account.hasDigests) {
      account.digests.set(id, (account.digests.get(id) ?? 0) + 1);
      return;
    }
    const told = this.#note(account, id, text);
    told.held = held;
    // What is held is due when any device has heard it.
    if (!held && !isHeard) told.dueMs = performance.now();
  }

  /** The same for everybody. */
  acceptShared(id: string, text: string, endsAt: number): void {
    this.sharedEnds.set(id, endsAt);
    for (const account of this.people.values()) {
      const told = this.#note(account, id, text);
      told.endsAt = endsAt;
      told.dueMs = performance.now();
    }
  }

  /** A device was told something; resolves with what is known of it. */
  hear(
    userId: number,
    { id, text, place }: { readonly id: string; readonly text: string; readonly place: Place },
  ): Told {
    const account = this.of(userId);
    const told = this.#note(account, id, text);
    if (told.place === undefined) this.#hearFirst(account, told, text);
    else if (comparePlaces(told.place, place) !== 0) this.fault(`${id} was told in two places`);
    told.place = place;
    // A digest has grown since: what one says is not what was sent.
    if (told.text !== text && told.kind !== "bulletin") this.fault(`${id} was told as something else`);
    return told;
  }

  #hearFirst(account: Account, told: Told, text: string): void {
    const { userId, liftedMs } = account;
    const unsent = linesOf(text).find((line) => !account.sent.has(line) && !this.shared.has(line));
    if (unsent !== undefined) this.fault(`${userId} was told "${unsent}", never sent`);
    if (told.held && liftedMs < (account.sent.get(text) ?? 0))
      this.fault(`${userId} was told "${text}" in their quiet hours`);
    // It lives from when it was told, not from when it was accepted.
    if (told.held && told.kind === "brief") told.endsAt = Date.now() + briefTtlMs;
    // Of a broadcast it is not known yet how long it is due.
    if (told.kind !== "shared" && told.dueMs === Infinity) told.dueMs = performance.now();
  }

  #note(account: Account, id: string, text: string): Told {
    const known = account.told.get(id);
    if (known !== undefined) return known;
    const [line = ""] = linesOf(text);
    const kind = kindOf(line) ?? "lasting";
    const told: Told = {
      id,
      userId: account.userId,
      kind,
      text,
      dueMs: Infinity,
      endsAt: kind === "brief" ? Date.now() + briefTtlMs : Infinity,
      place: undefined,
      readSaid: false,
      ackedMs: undefined,
      held: false,
    };
    account.told.set(id, told);
    return told;
  }

  /** A device says that these are read. */
  sayRead(userId: number, ids: readonly string[]): void {
    const { told } = this.of(userId);
    for (const id of ids) {
      const one = told.get(id);
      if (one !== undefined) one.readSaid = true;
      this.counts.reads++;
    }
  }

  /** A device says that all up to a place is read. */
  sayAllRead(userId: number, place: Place): void {
    const account = this.of(userId);
    const before = account.upTo?.place;
    const isFurther = before === undefined || comparePlaces(place, before) > 0;
    account.upTo = { place: isFurther ? place : before, saidMs: performance.now() };
    this.counts.readsOfAll++;
  }

  /** Whether it may be read by now. Where its place is not known yet, it is that of when it was sent. */
  isReadSaid(told: Told): boolean {
    const { upTo, sent } = this.of(told.userId);
    // What everybody is told is read by name only: the places of a person's own say nothing of it.
    if (told.readSaid || upTo === undefined || told.kind === "shared") return told.readSaid;
    if (told.place !== undefined) return comparePlaces(told.place, upTo.place) <= 0;
    return (sent.get(told.text) ?? 0) < upTo.saidMs;
  }

  /** A device has heard that it is read. */
  ack(told: Told): void {
    if (!this.isReadSaid(told)) this.fault(`${told.userId} heard that ${told.id} is read, which nobody said`);
    told.ackedMs ??= performance.now();
  }

  /** A device has heard that all up to a place are read. */
  ackUpTo(userId: number, place: Place): void {
    for (const told of this.of(userId).told.values())
      if (told.kind !== "shared" && told.place !== undefined && comparePlaces(told.place, place) <= 0)
        this.ack(told);
  }

  /** What this person's devices must show if nothing has disturbed them since `byMs`. */
  due(userId: number, byMs: number): readonly Told[] {
    const now = Date.now();
    return [...this.of(userId).told.values()].filter(
      (told) => told.dueMs < byMs && told.endsAt > now && !this.isReadSaid(told),
    );
  }

  fault(sentence: string): void {
    this.faults.push(sentence);
  }
}
