import { readyLimitMs } from "../rounds.ts";

/** How much a run asks of a machine, by how many people there are. All times are milliseconds. */
export type Bounds = {
  /** Programs that tell people things, how many each request names at most, and the longest pause between two. */
  readonly notifiers: number;
  readonly targetsMax: number;
  readonly thinkMaxMs: number;
  /** Pauses between two broadcasts. Everybody hears each, and many read it: one is as much work as all else of seconds. */
  readonly broadcastEveryMs: { readonly min: number; readonly max: number };
  /** How long a device lives until it is disturbed. */
  readonly lifeMs: { readonly min: number; readonly max: number };
  /** Traffic between two kills. */
  readonly trafficMs: { readonly min: number; readonly max: number };
  /** Until when the server must be ready after a kill, though everybody comes back at once. */
  readonly readyWithinMs: number;
  /** Until when a device that is connected, and that nothing has disturbed, must show what is true. */
  readonly heardWithinMs: number;
  /** Pauses between two looks at all devices. */
  readonly lookEveryMs: number;
};

/** What everybody together is told in a second, and one person at most. */
const toldPerS = 350;
const toldPerPersonS = 4;
/** Connections that are made in a second when nothing is killed: what is made after a kill comes on top. */
const connectsPerS = 80;
const devicesEach = 2;

/**
 * So that the server, its PostgreSQL and all devices fit two cores.
 *
 * What waits longest is what devices hear that come back all at once after a kill. With 60 people the longest wait was
 * 0.1 to 1.3 s, with 1,000 people 5 to 9 s, on two cores that other work took part of; `heardWithinMs` is about twice that.
 * The server was ready 0.5 to 3.8 s after a kill; when more than half of the machine was taken, 2,000 devices that came
 * back kept it from saying so for up to 23 s. The run prints its own waits. What is lost never comes, and is found by any
 * bound; on a machine that is much busier or slower the larger form says that things come late, and they do.
 */
export function boundsFor(people: number): Bounds {
  const targetsMax = Math.max(6, Math.round(people / 50));
  const targets = (1 + targetsMax) / 2;
  const perS = Math.min(toldPerS, people * toldPerPersonS) / targets;
  // An answer takes a second while devices come back.
  const notifiers = 6 + Math.round(people / 100);
  const lifeMs = Math.max(4_500, (devicesEach * people * 1_000) / connectsPerS);
  const heardWithinMs = 2_500 + 12 * people;
  return {
    notifiers,
    targetsMax,
    thinkMaxMs: (2 * notifiers * 1_000) / perS,
    broadcastEveryMs: { min: 1_000 + 4 * people, max: 3_000 + 8 * people },
    lifeMs: { min: 200, max: 2 * lifeMs },
    trafficMs: { min: Math.round(heardWithinMs * 0.4), max: Math.round(heardWithinMs * 1.5) },
    readyWithinMs: readyLimitMs + 25 * people,
    heardWithinMs,
    lookEveryMs: Math.max(250, people),
  };
}
