import type { TSchema } from "typebox";
import type { Actor } from "../access/actor.ts";
import type { Module, TopicKind } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import { kindOf } from "./hub.ts";

export type MergedKind = {
  readonly entries: Readonly<Record<string, TSchema>>;
  readonly revokes: NonNullable<TopicKind["revokes"]>;
  readonly authorize: readonly TopicKind["authorize"][];
};

/** The kinds of topics that there are. Several modules may send entries to one kind: each says who may read it. */
export function mergeKinds(modules: readonly Pick<Module, "topics">[]): ReadonlyMap<string, MergedKind> {
  const merged = new Map<string, MergedKind>();
  for (const topic of modules.flatMap(({ topics = [] }) => topics)) {
    const { kind, entries, revokes = {}, authorize } = topic;
    const before = merged.get(kind) ?? { entries: {}, revokes: {}, authorize: [] };
    const twice = Object.keys(entries).find((type) => type in before.entries);
    if (twice !== undefined) throw new Error(`two modules send entries ${twice} to topics ${kind}/…`);
    merged.set(kind, {
      entries: { ...before.entries, ...entries },
      revokes: { ...before.revokes, ...revokes },
      authorize: [...before.authorize, authorize],
    });
  }
  return merged;
}

/** Throws `AppError` `not_found` for what is no topic, and whatever its modules say about the actor. */
export async function authorizeTopic(
  kinds: ReadonlyMap<string, Pick<MergedKind, "authorize">>,
  actor: Actor,
  topic: string,
): Promise<void> {
  const name = kindOf(topic);
  const kind = kinds.get(name);
  if (kind === undefined) throw new AppError("not_found", { detail: "there are no topics of this kind" });
  const id = topic.slice(name.length + 1);
  for (const authorize of kind.authorize) await authorize(actor, id);
}
