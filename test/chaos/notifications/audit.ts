import { pause } from "../../../src/lib/backoff.ts";
import { withDatabase } from "../database.ts";
import { Prng } from "../prng.ts";
import type { Account } from "../report.ts";
import { send } from "../request.ts";
import type { Bounds } from "./bounds.ts";
import { type Unread, falseStates, heldCount, miscounts, recount } from "./database.ts";
import type { Ledger } from "./ledger.ts";
import type { Person } from "./people.ts";
import { SeedDevice } from "./seed-device.ts";

/** Connections that the audit has open at a time. */
const lanes = 40;
const answerTimeoutMs = 5_000;
/** What may be told is told every few seconds, by whoever leads: after a kill nobody does until a lease has ended. */
const releasedWithinMs = 30_000;
const lookEveryMs = 250;
const nobodys: Unread = { own: [], all: [] };

export type AuditDeps = {
  readonly port: number;
  readonly dataDir: string;
  readonly people: readonly Person[];
  readonly ledger: Ledger;
  readonly bounds: Bounds;
  readonly account: Account;
};

/**
 * At rest, everybody's devices agree with what is there: the client shows exactly what is unread and counts it, a new
 * connection hears it, in order; all that was accepted is there, and read if and only if somebody has read it.
 */
export async function audit(deps: AuditDeps): Promise<void> {
  const { dataDir, people, ledger, bounds, account } = deps;
  const releasedMs = await untilReleased(dataDir);
  account.require(
    releasedMs !== undefined,
    `something is held ${releasedWithinMs} ms after all wishes ended`,
  );
  await pause(bounds.heardWithinMs);
  // Of broadcasts only those are left that do not end within the run.
  const ends = [...ledger.sharedEnds.values()].filter((end) => end < Date.now() + bounds.heardWithinMs * 4);
  await pause(Math.max(0, ...ends.map((end) => end - Date.now() + 1_000)));
  const unread = await withDatabase(dataDir, recount);
  for (const person of people) auditClient(deps, person, unread.get(person.id) ?? nobodys);
  const left = [...people];
  const lane = async (): Promise<void> => {
    for (let person = left.shift(); person !== undefined; person = left.shift())
      await auditPerson(deps, person, unread.get(person.id) ?? nobodys);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  await requireNone(account, "at the end", () => withDatabase(dataDir, miscounts));
  await requireNone(account, "at the end", () => withDatabase(dataDir, (db) => falseStates(db, ledger)));
}

export async function requireNone(
  account: Account,
  when: string,
  look: () => Promise<Readonly<Record<string, number>>>,
): Promise<void> {
  for (const [what, count] of Object.entries(await look()))
    account.require(count === 0, `${when}: ${count} ${what}`);
}

async function untilReleased(dataDir: string): Promise<number | undefined> {
  const startedMs = performance.now();
  return withDatabase(dataDir, async (db) => {
    for (;;) {
      if ((await heldCount(db)) === 0) return performance.now() - startedMs;
      if (performance.now() - startedMs > releasedWithinMs) return undefined;
      await pause(lookEveryMs);
    }
  });
}

/** The device with the client, which has been connected all the time. */
function auditClient({ account, ledger }: AuditDeps, { id: userId, sdk }: Person, { all }: Unread): void {
  const { ids, unread } = sdk.shows();
  const isSame = ids.length === all.length && ids.every((id, i) => id === all[i]);
  account.require(
    isSame,
    `the client of ${userId} shows ${ids.length} of ${all.length}: ${difference(ids, all)}`,
  );
  account.require(unread === all.length, `the client of ${userId} counts ${unread} of ${all.length}`);
  const there = new Set(all);
  const missing = ledger.due(userId, Infinity).filter(({ id }) => !there.has(id));
  account.require(missing.length === 0, `of ${userId} ${missing.length} are lost, such as ${missing[0]?.id}`);
  const { told } = ledger.of(userId);
  const again = all.find((id) => told.get(id)?.ackedMs !== undefined);
  account.require(again === undefined, `of ${userId} ${again} is unread, which was acknowledged as read`);
}

/** A new connection in the seed's form, and what is said over HTTP. */
async function auditPerson(
  deps: AuditDeps,
  { id: userId, token }: Person,
  { own, all }: Unread,
): Promise<void> {
  const { port, ledger, bounds, account } = deps;
  const device = new SeedDevice({ port, userId, token, devices: [], ledger, bounds, prng: new Prng(0) });
  account.require((await device.connect()) !== undefined, `${userId} is not let in at the end`);
  const deadline = performance.now() + bounds.heardWithinMs;
  while (device.heard.size < all.length && performance.now() < deadline) await pause(20);
  const heard = [...device.heard];
  const isSame = heard.length === all.length && heard.every((id, i) => id === all[i]);
  account.require(isSame, `${userId} hears ${heard.length} of ${all.length}: ${difference(heard, all)}`);
  const { status, body } = await send({
    port,
    path: "/api/v1/notifications/unread",
    headers: { authorization: `Bearer ${await token()}` },
    timeoutMs: answerTimeoutMs,
  });
  const { unread } = JSON.parse(body) as { unread?: number };
  account.require(
    status === 200 && unread === own.length,
    `${userId} has ${own.length} unread and is said to have ${unread}`,
  );
  await device.close();
}

function difference(found: readonly string[], wanted: readonly string[]): string {
  const more = found.filter((id) => !wanted.includes(id));
  const less = wanted.filter((id) => !found.includes(id));
  if (more.length + less.length === 0) return "in another order";
  return `${less.length} missing (${less[0]}), ${more.length} too many (${more[0]})`;
}
