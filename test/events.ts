import type { ServerFrame } from "../protocol/frames.ts";

type Event = { readonly id: string | undefined; readonly name: string | undefined; readonly data: unknown };

/** An event stream as a test sees it. */
export type EventStream = {
  readonly response: Response;
  /** Everything that has come. */
  readonly events: readonly Event[];
  readonly frames: () => readonly ServerFrame[];
  readonly isEnded: () => boolean;
  readonly stop: () => void;
};

/** Opens one, as a browser does. */
export async function listen(
  url: string,
  query: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<EventStream> {
  const stop = new AbortController();
  const response = await fetch(`${url}/api/v1/events?${query}`, {
    headers: { ...headers },
    signal: stop.signal,
  });
  const events: Event[] = [];
  let ended = false;
  let text = "";
  const decoder = new TextDecoder();
  const read = async (): Promise<void> => {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
        const data = field("data");
        if (data !== undefined)
          events.push({ id: field("id"), name: field("event"), data: JSON.parse(data) });
      }
    }
  };
  void read()
    .catch(() => undefined)
    .finally(() => (ended = true));
  return {
    response,
    events,
    frames: () => events.filter(({ name }) => name === undefined).map(({ data }) => data as ServerFrame),
    isEnded: () => ended,
    stop: () => stop.abort(),
  };
}
