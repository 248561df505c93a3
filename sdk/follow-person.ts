import type { Client } from "./client.ts";

export type PersonHandlers = {
  /** Somebody else is signed in now, in whichever tab: what one person does is not done as another one. */
  readonly stop: () => void;
  /** The client was stopped. */
  readonly rest: () => void;
  /** The connection stands, or the client was started again: what waits may be tried at once. */
  readonly hurry: () => void;
};

/** Tells a person's store what becomes of the client. Returns the functions that end it. */
export function followPerson(
  client: Client,
  me: number,
  { stop, rest, hurry }: PersonHandlers,
): (() => void)[] {
  let resting = false;
  return [
    client.account.subscribe((person) => {
      if (person !== undefined && person.id !== me) stop();
    }),
    client.connection.subscribe(({ state, reason, userId = me }) => {
      if (userId !== me) stop();
      else if (reason === "stopped") {
        resting = true;
        rest();
      } else if (state === "open" || resting) {
        resting = false;
        hurry();
      }
    }),
  ];
}
