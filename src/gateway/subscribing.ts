import type { FrameError, SubscribedTopic } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import type { Actor } from "../access/actor.ts";
import { parsePosition } from "../eventlog/position.ts";
import { AppError } from "../lib/errors.ts";
import type { Backlog, CatchUp } from "./catch-up.ts";
import type { Subscription } from "./channel.ts";
import { frameError } from "./frames.ts";
import type { Hub } from "./hub.ts";
import type { Reader } from "./reader.ts";

export type SubscribingDeps = {
  readonly hub: Hub;
  readonly catchUp: CatchUp;
  readonly generation: () => number;
  /** Throws for a topic that the actor may not read. */
  readonly authorize: (actor: Actor, topic: string) => Promise<void>;
  /** What was thrown and is no refusal: logged by whoever gives this, and answered like this. */
  readonly asRefusal: (error: unknown) => AppError;
};

/** Bytes of the past that are read for one frame, whatever the number of its topics; the others are limited. */
export const pastBytesMax = 4 * 1_048_576;

/** A reader with an actor and the topics that it reads. */
export type Subscriber = Reader & { readonly subscriptions: Map<string, Subscription> };

export type Subscribed = {
  readonly topics: Record<string, SubscribedTopic>;
  readonly refused: Record<string, FrameError>;
  /** Sends what was missed and what is new. To be called once the answer is on its way. */
  readonly begin: () => void;
};

/**
 * Subscribes a reader to topics, each from now on or from a position on. A topic is joined before it is asked whether
 * the actor may read it, so that who is removed meanwhile is removed from here, too; nothing is sent before `begin`.
 */
export async function subscribe(
  deps: SubscribingDeps,
  reader: Subscriber,
  actor: Actor,
  wanted: ReadonlyMap<string, string | undefined>,
): Promise<Subscribed> {
  const topics: Record<string, SubscribedTopic> = {};
  const refused: Record<string, FrameError> = {};
  const budget = { bytes: pastBytesMax };
  const begun: { readonly subscription: Subscription; readonly backlog: Backlog }[] = [];

  const one = async (topic: string, position: string | undefined): Promise<void> => {
    const joined = join(deps, reader, topic, position);
    const { subscription } = joined;
    try {
      await deps.authorize(actor, topic);
      if (subscription.index === -1) throw new AppError("forbidden", { detail: "the topic was taken away" });
      const backlog = joined.lost
        ? deps.catchUp.limit(subscription)
        : await deps.catchUp.prepare(subscription, budget);
      if (subscription.index === -1) throw new AppError("forbidden", { detail: "the topic was taken away" });
      const from = deps.hub.position(subscription.channel.partition, subscription.at);
      topics[topic] = {
        position: backlog.limited ? from : (position ?? from),
        ...(backlog.limited ? { limited: true as const } : {}),
      };
      begun.push({ subscription, backlog });
    } catch (error) {
      if (subscription.index !== -1) deps.hub.leave(subscription);
      if (reader.subscriptions.get(topic) === subscription) reader.subscriptions.delete(topic);
      refused[topic] = frameError(deps.asRefusal(error));
    }
  };

  const all = [...wanted].map(async ([topic, position]) => {
    const fault = faultOf(reader, topic);
    if (fault === undefined) await one(topic, position);
    else refused[topic] = frameError(fault);
  });
  await Promise.all(all);
  return {
    topics,
    refused,
    begin: () => {
      for (const { subscription, backlog } of begun) deps.catchUp.begin(subscription, backlog);
    },
  };
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

/** `lost`: the position is one of another log, or of before a restore: nobody knows what came after it. */
function join(
  { hub, generation }: SubscribingDeps,
  reader: Subscriber,
  topic: string,
  position: string | undefined,
): { readonly subscription: Subscription; readonly lost: boolean } {
  const place = position === undefined ? undefined : placeOf(position);
  const subscription = hub.join(topic, reader, place?.offset);
  const { partition } = subscription.channel;
  reader.subscriptions.set(topic, subscription);
  const lost =
    position !== undefined &&
    (place === undefined || place.generation !== generation() || place.partition !== partition);
  return { subscription, lost };
}

function placeOf(position: string): ReturnType<typeof parsePosition> | undefined {
  try {
    return parsePosition(position);
  } catch {
    return undefined;
  }
}
