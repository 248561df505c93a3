/** Time as the program sees it. Tests inject one that they move by hand. */
export type Clock = {
  /** Unix milliseconds. */
  now(): number;
};

export const systemClock: Clock = { now: () => Date.now() };
