/** Bytes that are written at once: before each write it is seen whether the reader still takes them. */
export const sliceBytes = 65_536;

/** Items in parts that are written at once, each of `sliceBytes` at the most, or of one item. */
export function* slicesOf<Item>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
): Iterable<readonly [Item, ...Item[]]> {
  let slice: [Item, ...Item[]] | undefined;
  let bytes = 0;
  for (const item of items) {
    const more = bytesOf(item);
    if (slice === undefined || bytes + more > sliceBytes) {
      if (slice !== undefined) yield slice;
      [slice, bytes] = [[item], 0];
    } else slice.push(item);
    bytes += more;
  }
  if (slice !== undefined) yield slice;
}
