import { type LookupAddress } from "node:dns";
import { Resolver, lookup } from "node:dns/promises";
import { endsWithin } from "../../../lib/backoff.ts";

/** How long a name server may take to answer, milliseconds; it is asked once more then. */
const answerMaxMs = 2_000;
const triesMax = 2;
/** How long a name may take, however many name servers there are, milliseconds. */
export const nameMaxMs = 5_000;
/** Once a name has addresses of one kind, how long those of the other kind are waited for, milliseconds. */
const otherKindMs = 250;

/**
 * The addresses of a name that a stranger has told, from the name servers: what the machine's files say is for names of
 * its own. Not by `lookup`, which waits on a thread: two names that hang there would keep the whole process, with its
 * database, from looking up any other. `servers`: those of the machine unless given.
 */
export async function addressesOf(hostname: string, servers?: readonly string[]): Promise<LookupAddress[]> {
  const resolver = new Resolver({ timeout: answerMaxMs, tries: triesMax });
  if (servers !== undefined) resolver.setServers(servers);
  const timers = [setTimeout(() => resolver.cancel(), nameMaxMs)];
  const some = (found: readonly string[], family: number): LookupAddress[] => {
    timers.push(setTimeout(() => resolver.cancel(), otherKindMs));
    return found.map((address) => ({ address, family }));
  };
  try {
    const answers = await Promise.allSettled([
      resolver.resolve4(hostname).then((found) => some(found, 4)),
      resolver.resolve6(hostname).then((found) => some(found, 6)),
    ]);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const [first] = answers;
    if (found.length === 0 && first.status === "rejected") throw first.reason;
    return found;
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

/** How long a name waits for its turn behind another one, milliseconds. */
export const turnMaxMs = 1_000;

/**
 * The addresses of names that the operator has told, as the machine knows them: its files among it. One name at a time,
 * whoever asks for it: so no more than one thread hangs. What would have to wait behind a name that hangs is asked of the
 * name servers. Both look-ups are those of this machine unless given.
 */
export function createOwnNames(
  lookUp = (hostname: string): Promise<LookupAddress[]> => lookup(hostname, { all: true }),
  otherwise: (hostname: string) => Promise<LookupAddress[]> = addressesOf,
): (hostname: string) => Promise<LookupAddress[]> {
  const asked = new Map<string, Promise<LookupAddress[]>>();
  const thread: { busy: Promise<unknown> | undefined } = { busy: undefined };
  const ask = async (hostname: string): Promise<LookupAddress[]> => {
    const endMs = performance.now() + turnMaxMs;
    while (thread.busy !== undefined) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || !(await endsWithin(thread.busy, leftMs))) return otherwise(hostname);
    }
    const found = lookUp(hostname);
    thread.busy = found.then(noted, noted).finally(() => {
      thread.busy = undefined;
    });
    return found;
  };
  return (hostname) => {
    const known = asked.get(hostname);
    if (known !== undefined) return known;
    const found = ask(hostname).finally(() => {
      asked.delete(hostname);
    });
    asked.set(hostname, found);
    return found;
  };
}

function noted(): void {
  // What came of it is for those who have asked.
}
