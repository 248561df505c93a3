import { type Clock, within } from "./clock.ts";
import { type TidingsError, clientError } from "./errors.ts";
import type { ClientStorage } from "./storage.ts";

/** How long a storage may take to read or change something. A browser's database that another tab blocks takes for ever. */
export const storageMs = 5_000;

/** Changes of one key that are under way, and the one that was asked for last. */
type Changes = { underway: number; last: () => Promise<void> };

/**
 * The same storage, whose failures are told to `report` before whoever asked hears of them. What takes too long is a
 * failure, too (`timeout`), whatever becomes of it later:
 *
 * - What is read late is thrown away.
 * - What is changed late may overtake what was asked for meanwhile. Then the last change of that key is made once more,
 *   so that this page's last word counts. So a renewal that arrives late does not put a used token back over the next
 *   one, and a message that the send queue gave up, and removed, does not stay. It does not know what another tab has
 *   changed meanwhile, which is overwritten: the tabs then have what one of them said later than it meant to.
 * - What is saved late and was not changed since, stays: a sign-in that was told not to survive a reload survives it.
 */
export function reportingStorage(
  storage: ClientStorage,
  clock: Clock,
  report: (error: TidingsError) => void,
): ClientStorage {
  const told = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await within(storageMs, clock, act());
    } catch (error) {
      report(clientError("storage_failed", error));
      throw error;
    }
  };
  const byKey = new Map<string, Changes>();
  const change = (key: string, act: () => Promise<void>): Promise<void> => {
    const changes = byKey.get(key) ?? { underway: 0, last: act };
    byKey.set(key, changes);
    changes.underway++;
    changes.last = act;
    let isLate = false;
    const done = async (): Promise<void> => {
      try {
        await act();
        if (isLate && changes.last !== act) change(key, changes.last).catch(() => undefined);
      } finally {
        if (--changes.underway === 0) byKey.delete(key);
      }
    };
    return told(done).catch((error: unknown) => {
      isLate = true;
      throw error;
    });
  };
  return {
    load: (prefix) => told(() => storage.load(prefix)),
    save: (key, text) => change(key, () => storage.save(key, text)),
    remove: (key) => change(key, () => storage.remove(key)),
  };
}
