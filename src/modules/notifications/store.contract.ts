import { testCounts } from "./counts.contract.ts";
import { testRepeats } from "./repeats.contract.ts";
import { testReplay } from "./replay.contract.ts";
import type { StoreUnderTest } from "./store-under-test.fixture.ts";
import { testTold } from "./told.contract.ts";
import { testDigests } from "./wishes/digests.contract.ts";
import { testHeldProperty } from "./wishes/held-property.contract.ts";
import { testHeld } from "./wishes/held.contract.ts";
import { testPreferences } from "./wishes/preferences.contract.ts";

/**
 * What every store promises (`store.ts`), tried on one. `open` makes one with nobody in it. None of this knows where the store
 * keeps anything: what holds of one store alone is tested beside it.
 */
export function testNotificationStore(name: string, open: () => Promise<StoreUnderTest>): void {
  testTold(name, open);
  testRepeats(name, open);
  testReplay(name, open);
  testCounts(name, open);
  testPreferences(name, open);
  testHeld(name, open);
  testDigests(name, open);
  testHeldProperty(name, open);
}
