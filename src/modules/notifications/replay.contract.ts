import assert from "node:assert/strict";
import { test } from "node:test";
import { idsOf, requestTo } from "./requests.fixture.ts";
import { replayPageRows, toldNothing, toldWith } from "./store.ts";
import type { StoreUnderTest } from "./store-under-test.fixture.ts";

/** What every store promises (`store.ts`) of pages. */
export function testReplay(name: string, open: () => Promise<StoreUnderTest>): void {
  test(`${name}: a replay comes page by page, of several people at once, in order and without a gap`, async () => {
    const { store, person, clock } = await open();
    const [ann, bob] = [await person(), await person()];
    const ids: string[] = [];
    for (let n = 0; n <= replayPageRows; n++) {
      if (n % 7 === 0) clock.advance(1);
      const [answer] = await store.notify([requestTo([ann])]);
      ids.push(...idsOf(answer));
    }
    await store.notify([requestTo([bob])]);
    const [first = [], bobs = []] = await store.replay([
      { userId: ann, after: toldNothing },
      { userId: bob, after: toldNothing },
    ]);
    assert.deepEqual([first.length, bobs.length], [replayPageRows, 1]);
    const [rest = []] = await store.replay([{ userId: ann, after: toldWith(toldNothing, first) }]);
    assert.deepEqual(
      [...first, ...rest].map(({ notification_id }) => notification_id),
      ids,
    );
    const pages: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await store.list(ann, { limit: 20, ...(cursor === null ? {} : { cursor }) });
      pages.push(...page.notifications.map(({ notification_id }) => notification_id));
      cursor = page.next_cursor;
    } while (cursor !== null);
    assert.deepEqual(pages, ids.toReversed());
  });
}
