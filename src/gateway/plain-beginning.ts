import type { CloseReason } from "../../protocol/close-codes.ts";
import type { EntryFrame } from "../../protocol/frames.ts";
import type { Actor } from "../access/actor.ts";
import type { PlainBacklog } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import type { Connection } from "./connection.ts";
import { frameText, textFrame } from "./frame-bytes.ts";
import type { Pushed } from "./ring.ts";
import { slicesOf } from "./slices.ts";
import { type SubscribingDeps, type ToldFirst, subscribe } from "./subscribing.ts";

export type PlainGateway = {
  readonly subscribing: SubscribingDeps;
  /** Resolves when this gateway has read the log so far, by partition; rejects when that takes too long. */
  reach(heads: ReadonlyMap<number, number>): Promise<void>;
  /** How often it was in doubt whether what the log has shown is still in it. */
  readonly doubts: number;
  end(connection: Connection, reason: CloseReason): void;
};

/**
 * Tells a connection that speaks a seed's form what it is to hear first, and subscribes it to what is new. Answers come
 * after that: what is read while it is being told would else be acknowledged before it is told as unread.
 */
export async function beginPlain(gateway: PlainGateway, connection: Connection, actor: Actor): Promise<void> {
  const begun = Promise.withResolvers<void>();
  connection.beginning = begun.promise;
  try {
    await join(gateway, connection, actor);
  } finally {
    connection.beginning = undefined;
    begun.resolve();
  }
}

async function join(gateway: PlainGateway, connection: Connection, actor: Actor): Promise<void> {
  const { plain } = connection;
  if (plain === undefined) throw new Error("a plain connection has no form");
  connection.plain = undefined;
  const { form, parameters } = plain;
  connection.form = form;
  const topics = await form.topics(actor, parameters);
  // Whoever has gone meanwhile must not join: nobody would take them out again.
  if (connection.phase !== "open") return;
  const wanted = new Map(topics.map((topic): [string, undefined] => [topic, undefined]));
  const backlog = form.backlog?.(actor);
  const first = backlog === undefined ? undefined : () => tellBacklog(gateway, connection, backlog);
  await subscribe(gateway.subscribing, connection, { actor, wanted, first }, (answer) => {
    // It has no words for what could not be found out, or was missed since it joined: whoever comes back hears it.
    const isUnknown = Object.values(answer.refused).some(({ retry }) => retry !== "no");
    if (isUnknown) gateway.end(connection, "unavailable");
    else if (Object.values(answer.topics).some(({ limited }) => limited === true)) {
      gateway.end(connection, "slow_reader");
    }
  });
}

/**
 * What was in the log before the backlog was read is in the backlog, or is over. What came while it was read may be in it
 * or not: this gateway reads that too, so that the form can say of each entry whether it is news. So nothing is told
 * twice, nor told as new when it was read before the connection began.
 */
async function tellBacklog(
  gateway: PlainGateway,
  connection: Connection,
  { texts, isNews }: PlainBacklog,
): Promise<ToldFirst> {
  const { doubts } = gateway;
  const heads = await gateway.subscribing.heads();
  // First, so that a gateway that is far behind sends everybody away before they cost anything.
  await gateway.reach(ownOf(connection, heads));
  for await (const page of texts) {
    for (const frames of slicesOf(page.map(textFrame), ({ length }) => length)) {
      connection.write(Buffer.concat(frames));
      await connection.room();
      if (connection.phase !== "open") return { heads };
    }
  }
  const after = await gateway.subscribing.heads();
  await gateway.reach(ownOf(connection, after));
  // Entries that this gateway has never seen may be lost, and others have come in their places.
  if (doubts !== gateway.doubts)
    throw new AppError("unavailable", { detail: "the log may have lost entries" });
  return {
    heads,
    isNews: (pushed: Pushed) => {
      const { entry } = JSON.parse(frameText(pushed.frame).toString()) as EntryFrame;
      return isNews(entry.type, entry.data);
    },
  };
}

/** Of the partitions that the connection's topics lie in. */
function ownOf({ subscriptions }: Connection, heads: readonly number[]): ReadonlyMap<number, number> {
  const partitions = [...subscriptions.values()].map(({ channel }) => channel.partition);
  return new Map(partitions.map((partition) => [partition, heads[partition] ?? 0]));
}
