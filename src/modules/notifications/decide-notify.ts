import type { NotifyResult, Target, TargetFault } from "../../../protocol/notifications.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { AppError } from "../../lib/errors.ts";
import { type FreshNotification, type PersonState, nobodyYet, tellPerson } from "./person-state.ts";
import { whenToTell } from "./wishes/when-to-tell.ts";
import type { Idempotency, Wording } from "./wording.ts";

/** What a program wants people to be told. */
export type NotifyRequest = Wording & {
  /** Its own, the same for every attempt at it: the ids of its notifications are made from it. */
  readonly id: string;
  readonly targets: readonly Target[];
  /** How many may wait for a person, this one included: fewer for what anybody can cause. */
  readonly waitingMax: number;
};

/** `replayed`: it was done before, and nothing was done now. */
export type NotifyAnswer = { readonly results: readonly NotifyResult[]; readonly replayed: boolean };

export type KnownRequest = { readonly fingerprint: string; readonly answer: string };

/** What the database says about a batch, read under the locks of its people and keys. */
export type NotifyFacts = {
  readonly usernames: ReadonlyMap<number, string>;
  readonly people: ReadonlyMap<number, PersonState>;
  /** By `requestKey`. */
  readonly known: ReadonlyMap<string, KnownRequest>;
  /** Keys that another transaction works on at this moment, by `requestKey`. */
  readonly inFlight: ReadonlySet<string>;
  /** By `digestKey`, of the people who have one: they gather already. */
  readonly digests: ReadonlyMap<string, OpenDigest>;
  /** What an earlier attempt at these requests has done unseen, by the ids that `notificationIdOf` gives. */
  readonly made: ReadonlyMap<string, Made>;
  readonly nowMs: number;
};

/** A digest that gathers until it closes, and the notification that it becomes. */
export type OpenDigest = { readonly id: string; readonly closesMs: number };

/** What is told later, of what was accepted, or in which digest. */
export type Made = { readonly notificationId: string; readonly heldUntilMs: number | undefined };

/** Something that was accepted, and is not told yet: until a moment, or until its digest closes. */
export type HeldNotification = {
  readonly id: string;
  readonly userId: number;
  readonly digestId: string | null;
  readonly releaseMs: number | null;
  readonly actor: string;
  readonly message: string;
  readonly source: string;
  readonly category: string;
  readonly link: string | null;
  readonly createdAt: string;
  readonly ttlS: number;
};

/** A digest that gathers so many more, or begins to. */
export type GatheringDigest = OpenDigest & {
  readonly userId: number;
  readonly category: string;
  readonly more: number;
};

export type NotifyDecision = {
  /** For each request what is answered, in order. */
  readonly answers: readonly (NotifyAnswer | AppError)[];
  readonly fresh: readonly FreshNotification[];
  readonly held: readonly HeldNotification[];
  readonly digests: readonly GatheringDigest[];
  /** What is counted for the people for whom something was accepted, afterwards. */
  readonly people: ReadonlyMap<number, PersonState>;
  /** What is to be remembered under keys. */
  readonly keyed: readonly {
    readonly actor: string;
    readonly idempotency: Idempotency;
    readonly answer: string;
  }[];
};

/** Names a request by its sender's key. */
export function requestKey(actor: string, key: string): string {
  return `${actor}\n${key}`;
}

/** Names the digest of a person's category. */
export function digestKey(userId: number, category: string): string {
  return `${userId} ${category}`;
}

/**
 * Decides about each request of a batch on its own: what each target gets and which place that has among the others, what
 * was done before under the same key, what is refused. A target that cannot be told is named and holds up nobody.
 */
export function decideNotify(requests: readonly NotifyRequest[], facts: NotifyFacts): NotifyDecision {
  const known = new Map(facts.known);
  const progress: Progress = { people: new Map(), fresh: [], held: [], digests: new Map() };
  const keyed: NotifyDecision["keyed"][number][] = [];
  const answers = requests.map((request): NotifyAnswer | AppError => {
    const { actor, idempotency } = request;
    const name = idempotency === undefined ? undefined : requestKey(actor, idempotency.key);
    if (name !== undefined && facts.inFlight.has(name)) return inFlight();
    const earlier = name === undefined ? undefined : known.get(name);
    if (earlier !== undefined) return repetition(idempotency?.fingerprint, earlier);
    const results = tellEach(request, facts, progress);
    if (name === undefined || idempotency === undefined) return { results, replayed: false };
    const answer = JSON.stringify(results);
    known.set(name, { fingerprint: idempotency.fingerprint, answer });
    keyed.push({ actor, idempotency, answer });
    return { results, replayed: false };
  });
  const { people, fresh, held, digests } = progress;
  return { answers, fresh, held, digests: [...digests.values()], people, keyed };
}

type Progress = {
  readonly people: Map<number, PersonState>;
  readonly fresh: FreshNotification[];
  readonly held: HeldNotification[];
  readonly digests: Map<string, GatheringDigest>;
};

function tellEach(request: NotifyRequest, facts: NotifyFacts, progress: Progress): readonly NotifyResult[] {
  // Who is named twice is told once.
  const told = new Map<number, Made>();
  return request.targets.map((target): NotifyResult => {
    const { id, login } = target;
    const username = facts.usernames.get(id);
    if (username === undefined) return fault(target, "unknown_person", "there is no person with this id");
    if (login !== undefined && login !== username)
      return fault(target, "login_mismatch", "the person with this id has another login");
    const done =
      told.get(id) ?? facts.made.get(notificationIdOf(request, id)) ?? tellOne(request, id, facts, progress);
    if ("code" in done) return fault(target, done.code, done.detail);
    told.set(id, done);
    return {
      target: { id, login: username },
      notification_id: done.notificationId,
      ...(done.heldUntilMs === undefined ? {} : { held_until: new Date(done.heldUntilMs).toISOString() }),
    };
  });
}

type Refusal = { readonly code: TargetFault; readonly detail: string };

function tellOne(
  request: NotifyRequest,
  userId: number,
  facts: NotifyFacts,
  progress: Progress,
): Made | Refusal {
  const { nowMs } = facts;
  const before = progress.people.get(userId) ?? facts.people.get(userId) ?? nobodyYet;
  const telling = whenToTell(before.preferences, request, nowMs);
  if (telling.kind === "muted") return { code: "muted", detail: telling.why };
  // What is held counts as well, so that there is room for it when it is told; what is critical does not wait behind it.
  const waiting = before.unread - before.endedUnread + (request.critical ? 0 : before.held);
  if (waiting >= request.waitingMax)
    return {
      code: "inbox_full",
      detail: `${request.waitingMax} notifications wait for this person already`,
    };
  const id = notificationIdOf(request, userId);
  if (telling.kind === "now") {
    const told = { ...request, notification_id: id, gathered: 1 };
    const { after, fresh } = tellPerson(userId, before, told, nowMs);
    progress.people.set(userId, after);
    progress.fresh.push(fresh);
    return { notificationId: id, heldUntilMs: undefined };
  }
  progress.people.set(userId, { ...before, held: before.held + 1 });
  const { actor, message, source, category, link, createdAt = new Date(nowMs).toISOString(), ttlS } = request;
  const held = { id, userId, actor, message, source, category, link, createdAt, ttlS };
  if (telling.kind === "held") {
    progress.held.push({ ...held, digestId: null, releaseMs: telling.untilMs });
    return { notificationId: id, heldUntilMs: telling.untilMs };
  }
  // Of this attempt: what an earlier one has opened and gathered may have been told by now under its own id.
  const begun = { id: derivedId("digest", `${request.id} ${userId} ${nowMs}`), closesMs: telling.untilMs };
  const digest = gather(userId, category, facts.digests.get(digestKey(userId, category)) ?? begun, progress);
  progress.held.push({ ...held, digestId: digest.id, releaseMs: null });
  return { notificationId: digest.id, heldUntilMs: digest.closesMs };
}

/** Takes one more into a digest, unless the batch has opened another one of this person and category already. */
function gather(
  userId: number,
  category: string,
  open: OpenDigest,
  { digests }: Pick<Progress, "digests">,
): GatheringDigest {
  const key = digestKey(userId, category);
  const before = digests.get(key) ?? { ...open, userId, category, more: 0 };
  const after = { ...before, more: before.more + 1 };
  digests.set(key, after);
  return after;
}

/** The same for every attempt at the request. */
export function notificationIdOf({ id }: Pick<NotifyRequest, "id">, userId: number): string {
  return derivedId("notification", `${id} ${userId}`);
}

function fault({ id, login }: Target, code: TargetFault, detail: string): NotifyResult {
  return { target: login === undefined ? { id } : { id, login }, error: { code, detail } };
}

function repetition(fingerprint: string | undefined, earlier: KnownRequest): NotifyAnswer | AppError {
  if (earlier.fingerprint === fingerprint)
    return { results: JSON.parse(earlier.answer) as readonly NotifyResult[], replayed: true };
  return keyUsed();
}

export function keyUsed(): AppError {
  return new AppError("idempotency_mismatch", {
    detail: "this Idempotency-Key was used for another request: a new request needs a new one",
    fields: [{ pointer: "Idempotency-Key", code: "used", detail: "was used for another request" }],
  });
}

export function inFlight(): AppError {
  return new AppError("request_in_flight", {
    detail: "a request with this Idempotency-Key is being worked on: send it again in a moment",
    retryAfterS: 1,
  });
}
