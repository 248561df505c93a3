import type { SendResult } from "../send/send-load.ts";

/** What the process that notifies is told. */
export type NotifyLoad = {
  readonly port: number;
  readonly apiKey: string;
  /** People by name: requests for one go to each in turn, the request for all names all of them. */
  readonly targets: readonly { readonly id: number; readonly login: string }[];
} & (
  | { readonly kind: "each"; readonly perSecond: number; readonly forMs: number }
  /** `number`: which one it is, in its marker. */
  | { readonly kind: "all"; readonly number: number }
);

export type NotifyResult = SendResult;
