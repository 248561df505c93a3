import type { FrameError, SubscribedTopic } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import type { Actor } from "../access/actor.ts";
import { parsePosition } from "../eventlog/position.ts";
import { AppError } from "../lib/errors.ts";
import type { CatchUp } from "./catch-up.ts";
import type { Subscription } from "./channel.ts";
import { frameError } from "./frames.ts";
import type { Hub } from "./hub.ts";
import type { Reader } from "./reader.ts";
import type { Pushed } from "./ring.ts";

export type SubscribingDeps = {
  readonly hub: Hub;
  readonly catchUp: CatchUp;
  readonly generation: () => number;
  /** The last offset of each partition of the log. */
  readonly heads: () => Promise<readonly number[]>;
  /** Throws for a topic that the actor may not read. */
  readonly authorize: (actor: Actor, topic: string) => Promise<void>;
  /** What was thrown and is no refusal: logged by whoever gives this, and answered like this. */
  readonly asRefusal: (error: unknown) => AppError;
};

/** A reader with an actor and the topics that it reads. */
export type Subscriber = Reader & { readonly subscriptions: Map<string, Subscription> };

export type Subscribed = {
  readonly topics: Readonly<Record<string, SubscribedTopic>>;
  readonly refused: Readonly<Record<string, FrameError>>;
};

/** Topics, each with the position that the reader has of it, if any, and who asks for them. */
export type Wish = {
  readonly actor: Actor;
  readonly wanted: ReadonlyMap<string, string | undefined>;
  /** Tells the reader something before all that is new. */
  readonly first?: (() => Promise<ToldFirst>) | undefined;
};

/** What a reader need not be told any more, because of what it was told first. */
export type ToldFirst = {
  /** By partition, up to where the reader has everything; this gateway has read so far. */
  readonly heads: readonly number[];
  /** Of entries after that which this gateway has read already: which are still to be told, all unless given. */
  readonly isNews?: (entry: Pushed) => boolean;
};

type Joined = {
  readonly topic: string;
  readonly position: string | undefined;
  readonly subscription: Subscription;
  /** The position is one of another log, or of before a restore: nobody knows what came after it. */
  lost: boolean;
};

/**
 * Subscribes a reader to topics, each from now on or from a position on. A topic is joined before it is asked whether
 * the actor may read it, so that who is removed meanwhile is removed from here, too. `answer` tells the reader what has
 * become of each topic at that very moment; then comes what was missed and what is new, and nothing of it before.
 */
export async function subscribe(
  deps: SubscribingDeps,
  reader: Subscriber,
  { actor, wanted, first }: Wish,
  answer: (subscribed: Subscribed) => void,
): Promise<void> {
  const refused: Record<string, FrameError> = {};
  const joined: Joined[] = [];
  for (const [topic, position] of wanted) {
    const fault = faultOf(reader, topic);
    if (fault === undefined) joined.push(join(deps, reader, topic, position));
    else refused[topic] = frameError(fault);
  }
  const refuse = ({ topic, subscription }: Joined, error: unknown): void => {
    leave(deps, reader, subscription);
    refused[topic] = frameError(deps.asRefusal(error));
  };
  await Promise.all(
    joined.map((one) => deps.authorize(actor, one.topic).catch((error: unknown) => refuse(one, error))),
  );
  await findLost(deps, joined).catch((error: unknown) => {
    for (const one of joined) if (isAhead(deps, one)) refuse(one, error);
  });
  for (const { topic, subscription } of joined) {
    if (subscription.index === -1) refused[topic] ??= frameError(takenAway());
  }
  const told = await first?.();
  const kept = joined.filter(({ subscription }) => subscription.index !== -1);
  for (const { subscription } of kept) {
    subscription.at = Math.max(subscription.at, told?.heads[subscription.channel.partition] ?? 0);
    subscription.isNews = told?.isNews;
  }
  const known = kept.filter(({ lost }) => !lost).map(({ subscription }) => subscription);
  const backlogs = await deps.catchUp.prepare(reader, known);
  const prepared = new Map(known.map((subscription, i) => [subscription, backlogs[i]]));
  const ready = kept.map(({ subscription, ...rest }) => {
    const found = prepared.get(subscription);
    const backlog =
      found === undefined ? deps.catchUp.limit(subscription) : deps.catchUp.confirm(subscription, found);
    return { ...rest, subscription, backlog };
  });
  const topics: Record<string, SubscribedTopic> = {};
  for (const { topic, position, subscription, backlog } of ready) {
    if (subscription.index !== -1) {
      const from = deps.hub.position(subscription.channel.partition, subscription.at);
      topics[topic] = backlog.limited ? { position: from, limited: true } : { position: position ?? from };
    } else refused[topic] = frameError(takenAway());
  }
  reader.together(() => {
    answer({ topics, refused });
    for (const { subscription, backlog } of ready) deps.catchUp.begin(subscription, backlog);
  });
}

/**
 * Asks anew whether an actor who may less than before may read what they are subscribed to, and takes the rest away.
 * Rejects when that cannot be found out.
 */
export async function authorizeAgain(deps: SubscribingDeps, reader: Subscriber, actor: Actor): Promise<void> {
  const all = [...reader.subscriptions].map(async ([topic, subscription]) => {
    try {
      await deps.authorize(actor, topic);
    } catch (error) {
      const { code } = deps.asRefusal(error);
      if (code !== "forbidden" && code !== "not_found") throw error;
      if (subscription.index === -1) return;
      const { partition } = subscription.channel;
      leave(deps, reader, subscription);
      reader.revoked(topic, deps.hub.position(partition, deps.hub.ringOf(topic).head));
    }
  });
  await Promise.all(all);
}

function faultOf({ subscriptions }: Subscriber, topic: string): AppError | undefined {
  if (subscriptions.has(topic)) {
    return new AppError("conflict", { detail: "this connection is subscribed to the topic already" });
  }
  if (subscriptions.size >= limits.topicsPerConnection) {
    return new AppError("conflict", {
      detail: `a connection may be subscribed to ${limits.topicsPerConnection} topics at most`,
    });
  }
  return undefined;
}

function takenAway(): AppError {
  return new AppError("forbidden", { detail: "the topic was taken away" });
}

function join(
  { hub, generation }: SubscribingDeps,
  reader: Subscriber,
  topic: string,
  position: string | undefined,
): Joined {
  const place = position === undefined ? undefined : placeOf(position);
  const subscription = hub.join(topic, reader, place?.offset);
  const { partition } = subscription.channel;
  reader.subscriptions.set(topic, subscription);
  const lost =
    position !== undefined &&
    (place === undefined || place.generation !== generation() || place.partition !== partition);
  return { topic, position, subscription, lost };
}

function leave({ hub }: SubscribingDeps, reader: Subscriber, subscription: Subscription): void {
  const { topic } = subscription.channel;
  if (subscription.index !== -1) hub.leave(subscription);
  if (reader.subscriptions.get(topic) === subscription) reader.subscriptions.delete(topic);
}

/** Another gateway may have been further than this one; but nobody can have been further than the log. */
async function findLost(deps: SubscribingDeps, joined: readonly Joined[]): Promise<void> {
  const ahead = joined.filter((one) => isAhead(deps, one));
  if (ahead.length === 0) return;
  const heads = await deps.heads();
  for (const one of ahead) {
    const { at, channel } = one.subscription;
    if (at > (heads[channel.partition] ?? 0)) one.lost = true;
  }
}

function isAhead({ hub }: SubscribingDeps, { topic, subscription, lost }: Joined): boolean {
  return !lost && subscription.index !== -1 && subscription.at > hub.ringOf(topic).head;
}

function placeOf(position: string): ReturnType<typeof parsePosition> | undefined {
  try {
    return parsePosition(position);
  } catch {
    return undefined;
  }
}
