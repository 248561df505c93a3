import type { Notification, NotifyResult, Target, TargetFault } from "../../../protocol/notifications.ts";
import { limits } from "../../../protocol/limits.ts";
import { derivedId } from "../../eventlog/derived-id.ts";
import { AppError } from "../../lib/errors.ts";

/** Something that a program wants people to be told, checked and with its defaults. */
export type NotifyRequest = {
  /** Its own, the same for every attempt at it: the ids of its notifications are made from it. */
  readonly id: string;
  readonly targets: readonly Target[];
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

/** `replayed`: it was done before, and nothing was done now. */
export type NotifyAnswer = { readonly results: readonly NotifyResult[]; readonly replayed: boolean };

/** What is counted for a person, and the last stream id that was given to them. */
export type PersonState = {
  readonly version: number;
  readonly unread: number;
  readonly stored: number;
  readonly streamMs: number;
  readonly streamN: number;
  /** Of those counted, how many have ended and only wait to be removed. */
  readonly endedUnread: number;
  readonly endedStored: number;
};

export type KnownRequest = { readonly fingerprint: string; readonly answer: string };

/** What the database says about a batch, read under the locks of its people and keys. */
export type NotifyFacts = {
  readonly usernames: ReadonlyMap<number, string>;
  readonly people: ReadonlyMap<number, PersonState>;
  /** By `requestKey`. */
  readonly known: ReadonlyMap<string, KnownRequest>;
  /** Keys that another transaction works on at this moment, by `requestKey`. */
  readonly inFlight: ReadonlySet<string>;
  /** Ids of notifications that an earlier attempt at these requests has made unseen. */
  readonly made: ReadonlySet<string>;
  readonly nowMs: number;
};

/** A notification that comes to be, and what its entry tells beside it. */
export type FreshNotification = {
  readonly userId: number;
  readonly actor: string;
  readonly notification: Notification;
  readonly streamMs: number;
  readonly streamN: number;
  readonly unread: number;
  readonly version: number;
};

export type NotifyDecision = {
  /** For each request what is answered, in order. */
  readonly answers: readonly (NotifyAnswer | AppError)[];
  readonly fresh: readonly FreshNotification[];
  /** What is counted for the people who are told something, afterwards. */
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

/** Later than any other of the person, and no earlier than now: a clock that was set back changes nothing in the order. */
export function nextStreamId(
  { streamMs, streamN }: Pick<PersonState, "streamMs" | "streamN">,
  nowMs: number,
): Pick<PersonState, "streamMs" | "streamN"> {
  return nowMs > streamMs ? { streamMs: nowMs, streamN: 0 } : { streamMs, streamN: streamN + 1 };
}

export function streamIdOf({ streamMs, streamN }: Pick<PersonState, "streamMs" | "streamN">): string {
  return `${streamMs}-${streamN}`;
}

/**
 * Decides about each request of a batch on its own: what each target gets and which place that has among the others, what
 * was done before under the same key, what is refused. A target that cannot be told is named and holds up nobody.
 */
export function decideNotify(requests: readonly NotifyRequest[], facts: NotifyFacts): NotifyDecision {
  const known = new Map(facts.known);
  const people = new Map<number, PersonState>();
  const fresh: FreshNotification[] = [];
  const keyed: NotifyDecision["keyed"][number][] = [];
  const answers = requests.map((request): NotifyAnswer | AppError => {
    const { actor, idempotency } = request;
    const name = idempotency === undefined ? undefined : requestKey(actor, idempotency.key);
    if (name !== undefined && facts.inFlight.has(name)) return inFlight();
    const earlier = name === undefined ? undefined : known.get(name);
    if (earlier !== undefined) return repetition(idempotency?.fingerprint, earlier);
    const results = tellEach(request, facts, { people, fresh });
    if (name === undefined || idempotency === undefined) return { results, replayed: false };
    const answer = JSON.stringify(results);
    known.set(name, { fingerprint: idempotency.fingerprint, answer });
    keyed.push({ actor, idempotency, answer });
    return { results, replayed: false };
  });
  return { answers, fresh, people, keyed };
}

type Progress = { readonly people: Map<number, PersonState>; readonly fresh: FreshNotification[] };

function tellEach(request: NotifyRequest, facts: NotifyFacts, progress: Progress): readonly NotifyResult[] {
  // Who is named twice is told once.
  const told = new Map<number, string>();
  return request.targets.map((target): NotifyResult => {
    const { id, login } = target;
    const username = facts.usernames.get(id);
    if (username === undefined) return fault(target, "unknown_person", "there is no person with this id");
    if (login !== undefined && login !== username)
      return fault(target, "login_mismatch", "the person with this id has another login");
    const before = progress.people.get(id) ?? facts.people.get(id) ?? nobodyYet;
    const notificationId = told.get(id) ?? notificationIdOf(request, id);
    const isMade = told.has(id) || facts.made.has(notificationId);
    if (!isMade && before.unread - before.endedUnread >= limits.notificationsPerPerson)
      return fault(
        target,
        "inbox_full",
        `${limits.notificationsPerPerson} notifications wait for this person already`,
      );
    if (!isMade) tell(request, facts, progress, { id, before, notificationId });
    told.set(id, notificationId);
    return { target: { id, login: username }, notification_id: notificationId };
  });
}

function tell(
  { message, source, createdAt, ttlS, category, critical, link, actor }: NotifyRequest,
  { nowMs }: NotifyFacts,
  { people, fresh }: Progress,
  {
    id,
    before,
    notificationId,
  }: { readonly id: number; readonly before: PersonState; readonly notificationId: string },
): void {
  const place = nextStreamId(before, nowMs);
  const after: PersonState = {
    ...before,
    ...place,
    version: before.version + 1,
    unread: before.unread + 1,
    stored: before.stored + 1,
  };
  people.set(id, after);
  const notification: Notification = {
    notification_id: notificationId,
    stream_id: streamIdOf(place),
    message,
    created_at: createdAt ?? new Date(nowMs).toISOString(),
    source,
    status: "unread",
    category,
    critical,
    link,
    expires_at: new Date(nowMs + ttlS * 1_000).toISOString(),
  };
  fresh.push({
    userId: id,
    actor,
    notification,
    ...place,
    unread: after.unread - after.endedUnread,
    version: after.version,
  });
}

/** The same for every attempt at the request. */
export function notificationIdOf({ id }: Pick<NotifyRequest, "id">, userId: number): string {
  return derivedId("notification", `${id} ${userId}`);
}

/** What is counted for somebody who was never told anything. */
export const nobodyYet: PersonState = {
  version: 0,
  unread: 0,
  stored: 0,
  streamMs: 0,
  streamN: 0,
  endedUnread: 0,
  endedStored: 0,
};

function fault({ id, login }: Target, code: TargetFault, detail: string): NotifyResult {
  return { target: login === undefined ? { id } : { id, login }, error: { code, detail } };
}

function repetition(fingerprint: string | undefined, earlier: KnownRequest): NotifyAnswer | AppError {
  if (earlier.fingerprint === fingerprint)
    return { results: JSON.parse(earlier.answer) as readonly NotifyResult[], replayed: true };
  return new AppError("idempotency_mismatch", {
    detail: "this Idempotency-Key was used for another request: a new request needs a new one",
    fields: [{ pointer: "Idempotency-Key", code: "used", detail: "was used for another request" }],
  });
}

function inFlight(): AppError {
  return new AppError("request_in_flight", {
    detail: "a request with this Idempotency-Key is being worked on: send it again in a moment",
    retryAfterS: 1,
  });
}
