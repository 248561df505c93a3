import type { TestContext } from "node:test";
import { Type } from "typebox";
import type { CloseReason } from "../../protocol/close-codes.ts";
import type { ServerFrame } from "../../protocol/frames.ts";
import { manualClock } from "../../test/harness.ts";
import type { Actor } from "../access/actor.ts";
import { createPersonRate } from "../access/person-rate.ts";
import type { PlainForm, SocketMethod } from "../deps.ts";
import { createLogger } from "../lib/logger.ts";
import type { BucketRate } from "../lib/token-bucket.ts";
import { openStuck } from "./connection.fixture.ts";
import { memoryLog, openDelivery, person, settled } from "./delivery.fixture.ts";
import { Dispatch, type DispatchDeps } from "./dispatch.ts";
import { textsOf } from "./reader.fixture.ts";

/** Frames that a connection may send at once, unless a test says otherwise. */
export const burst = 200;
/** The requests of a person: more than a test can make. */
const neverSpent: BucketRate = { perSecond: 1_000, burst: 100_000 };

type DispatchParts = Partial<Pick<DispatchDeps, "end" | "frameRate" | "methods" | "plain">> & {
  readonly personRate?: BucketRate;
};

/** What clients ask for, over the real delivery; whoever is sent away is noted, and their connection closed. */
export async function openDispatch(t: TestContext, parts: DispatchParts = {}) {
  const { frameRate = { perSecond: 50, burst } } = parts;
  const delivery = await openDelivery({ eventlog: memoryLog() });
  t.after(() => delivery.close());
  const clock = manualClock();
  const personRate = createPersonRate(parts.personRate ?? neverSpent, { clock });
  const ended: CloseReason[] = [];
  const dispatch = new Dispatch({
    subscribing: delivery.subscribing,
    clock,
    log: createLogger("silent"),
    methods: [],
    plain: [],
    signalOf: () => undefined,
    authenticate: () => Promise.resolve(),
    end: (one, reason) => {
      ended.push(reason);
      one.close(reason);
    },
    ...parts,
    frameRate,
    personRate,
  });
  return {
    dispatch,
    clock,
    personRate,
    ended,
    /** An open connection of somebody, who has sent nothing yet. */
    connect: (actor: Actor = person()) => {
      const { link, connection } = openStuck();
      connection.actor = actor;
      connection.frameTokens = frameRate.burst;
      return {
        link,
        connection,
        send: (frame: unknown): void =>
          dispatch.receive(connection, typeof frame === "string" ? frame : JSON.stringify(frame)),
        /** What has been said since the last time; the client has taken it. */
        answers: async (): Promise<readonly ServerFrame[]> => {
          await settled();
          link.unsentBytes = 0;
          const texts = link.written.splice(0).flatMap(textsOf);
          return texts.map((text) => JSON.parse(text) as ServerFrame);
        },
      };
    },
  };
}

/** The only method that there is, and a request of it. */
export const methodOf = (handler: SocketMethod["handler"]): SocketMethod => ({
  name: "do",
  summary: "",
  params: Type.Object({}),
  answer: Type.Unknown(),
  handler,
});
export const request = (id: number) => ({ type: "request", id, name: "do", params: {} });

/** A plain form of which every frame is one, and in which nothing is heard but answers. */
export const formOf = (handle: PlainForm["handle"]): PlainForm => ({
  name: "form",
  frames: { sent: Type.Unknown(), heard: Type.Unknown() },
  topics: () => Promise.resolve([]),
  render: () => [],
  accepts: () => true,
  handle,
});

/** The codes of refusals, and of all other frames the type; a plain form's frames have none. */
export const codesOf = (frames: readonly ServerFrame[]): unknown[] =>
  frames.map((frame) => (frame.type === "error" ? frame.error.code : (frame.type ?? "plain")));
