import { leaveAfterMs } from "./presence.ts";

/**
 * How long after it has begun to listen a process knows too little of the people of other gateways, milliseconds: these
 * are asked at once, and again if that was lost, and whoever was cut off by a restart comes back meanwhile.
 */
export const knownAfterMs = 2 * leaveAfterMs;

/** Who has a connection anywhere, for whoever treats people by that; a process without a gateway knows it, too. */
export type WhoIsThere = {
  /** Whether enough is known to say who has none. */
  isKnown(): boolean;
  isOnline(userId: number): boolean;
  /** What is answered from: a role names it when it starts, and calls the function that this returns when it stops. */
  ask(presence: Pick<WhoIsThere, "isOnline">): () => void;
};

/** `now`: milliseconds of a clock that only grows. */
export function createWhoIsThere(now: () => number = () => performance.now()): WhoIsThere {
  let asked: { readonly presence: Pick<WhoIsThere, "isOnline">; readonly sinceMs: number } | undefined;
  return {
    isKnown: () => asked !== undefined && now() - asked.sinceMs >= knownAfterMs,
    isOnline: (userId) => asked?.presence.isOnline(userId) === true,
    ask: (presence) => {
      const own = { presence, sinceMs: now() };
      asked = own;
      return () => {
        if (asked === own) asked = undefined;
      };
    },
  };
}
