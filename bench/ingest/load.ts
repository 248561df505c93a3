/** What the load generator is told and what it answers; it runs in a process of its own. */

export type PrepareCommand = {
  readonly kind: "prepare";
  readonly count: number;
  readonly sourceName: string;
  readonly secret: string;
};

/** Sends prepared requests, one at a time per connection. */
export type Load = {
  readonly kind: "run";
  readonly port: number;
  readonly connections: number;
  readonly forMs: number;
  /** Open loop: requests per second by the clock. Without it, closed loop: as fast as answers come. */
  readonly perSecond?: number;
  /** Sends what was prepared again from the start when it is used up, and does not note what was accepted. */
  readonly repeat: boolean;
};

export type LoadResult = {
  readonly accepted: number;
  /** Every answer but 202 by its status, lost connections by `lost`. */
  readonly failures: Readonly<Record<string, number>>;
  readonly perSecond: number;
  /** Milliseconds; in an open loop from the moment the request was due. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
};

/** The numbers of requests that were accepted, as the database can say the same of what it stored. */
export type Acknowledged = { readonly count: number; readonly sum: number };

export type Command = PrepareCommand | Load | { readonly kind: "acknowledged" };
export type Answer =
  | { readonly kind: "prepared" }
  | { readonly kind: "result"; readonly result: LoadResult }
  | ({ readonly kind: "acknowledged" } & Acknowledged)
  | { readonly kind: "fault"; readonly detail: string };
