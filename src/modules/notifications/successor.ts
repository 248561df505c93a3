import { derivedId } from "../../eventlog/derived-id.ts";

/** The id of the digest that takes the place of this one when something is erased from it: the same for every attempt. */
export function successorOf(id: string): string {
  return derivedId("digest without", id);
}
