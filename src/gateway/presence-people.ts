import { type NodeSaid, type PeopleList, lastId } from "./presence-nodes.ts";

/** What another gateway said is true until it has been silent for this long, milliseconds. */
export const believeMs = 90_000;
/** A question that was not answered is asked again after this time, milliseconds, ... */
export const askEveryMs = 2_000;
/** ... and so many times in all. The next round answers it anyway. */
export const asksMax = 5;
/** Other gateways that are remembered; what further ones say is ignored. */
export const nodesMax = 256;
/** People of other gateways that are remembered, those of two gateways twice; of further ones nothing is known. */
export const peopleMax = 1_000_000;

/** Another gateway, and what it has said. */
type Other = {
  readonly people: Set<number>;
  heardAtMs: number;
  /** Up to this id its people are known. */
  knownTo: number;
  asks: number;
  askAtMs: number;
};

/**
 * The people of other gateways, as these have said. What a gateway said last of a person is true for as long as the
 * gateway is heard of: nobody is forgotten only because it is long since they were named.
 */
export class PeopleElsewhere {
  readonly #others = new Map<string, Other>();
  /** How many people all the others have. */
  #people = 0;
  readonly #now: () => number;
  readonly #changed: (userId: number) => void;

  constructor(options: {
    readonly now: () => number;
    /** The first gateway has this person, or none has any more. */
    readonly changed: (userId: number) => void;
  }) {
    this.#now = options.now;
    this.#changed = options.changed;
  }

  /** How many other gateways there are. */
  get nodes(): number {
    return this.#others.size;
  }

  has(userId: number): boolean {
    for (const { people } of this.#others.values()) if (people.has(userId)) return true;
    return false;
  }

  /** Whether the gateway was not known before. */
  hear({ node, list, came, left, goes }: NodeSaid): boolean {
    const known = this.#others.get(node);
    if (goes) {
      if (known !== undefined) this.#forget(node, known);
      return false;
    }
    if (known === undefined && this.#others.size >= nodesMax) return false;
    const other = known ?? this.#meet(node);
    other.heardAtMs = this.#now();
    if (list !== undefined) this.#take(other, list);
    for (const userId of came) this.#add(other, userId);
    for (const userId of left) this.#remove(other, userId);
    return known === undefined;
  }

  forgetSilent(): void {
    const nowMs = this.#now();
    for (const [node, other] of this.#others)
      if (nowMs - other.heardAtMs > believeMs) this.#forget(node, other);
  }

  /** The gateways that are to be asked now who is with them: not all of it is known. */
  takeQuestions(): readonly string[] {
    const nowMs = this.#now();
    const questions: string[] = [];
    for (const [node, other] of this.#others) {
      if (other.knownTo >= lastId || other.asks >= asksMax || nowMs < other.askAtMs) continue;
      other.asks++;
      other.askAtMs = nowMs + askEveryMs;
      questions.push(node);
    }
    return questions;
  }

  clear(): void {
    this.#others.clear();
    this.#people = 0;
  }

  /** It is asked only after a while: most tell of themselves what they have. */
  #meet(node: string): Other {
    const heardAtMs = this.#now();
    const other = {
      people: new Set<number>(),
      heardAtMs,
      knownTo: 0,
      asks: 0,
      askAtMs: heardAtMs + askEveryMs,
    };
    this.#others.set(node, other);
    return other;
  }

  #forget(node: string, { people }: Other): void {
    this.#others.delete(node);
    this.#people -= people.size;
    for (const userId of people) if (!this.has(userId)) this.#changed(userId);
  }

  #take(other: Other, { after, to, ids }: PeopleList): void {
    if (after <= other.knownTo) other.knownTo = Math.max(other.knownTo, to);
    // It is answering: it need not be asked again yet.
    other.askAtMs = this.#now() + askEveryMs;
    const listed = new Set(ids);
    for (const userId of other.people)
      if (userId > after && userId <= to && !listed.has(userId)) this.#remove(other, userId);
    for (const userId of ids) this.#add(other, userId);
  }

  #add({ people }: Other, userId: number): void {
    if (people.has(userId) || this.#people >= peopleMax) return;
    const had = this.has(userId);
    people.add(userId);
    this.#people++;
    if (!had) this.#changed(userId);
  }

  #remove({ people }: Other, userId: number): void {
    if (!people.delete(userId)) return;
    this.#people--;
    if (!this.has(userId)) this.#changed(userId);
  }
}
