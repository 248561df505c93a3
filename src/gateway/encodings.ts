import type { EntryFrame } from "../../protocol/frames.ts";
import type { PlainForm } from "../deps.ts";
import type { Clock } from "../lib/clock.ts";
import { frameText, textFrame } from "./frame-bytes.ts";
import type { Encoding } from "./reader.ts";
import type { Pushed } from "./ring.ts";

/** The frames of `protocol/frames.ts`, one WebSocket message each. */
export const nativeFrames: Encoding = {
  name: "frames",
  entries: (list) => {
    const [only] = list;
    if (only === undefined) return undefined;
    return list.length === 1 ? only.frame : Buffer.concat(list.map(({ frame }) => frame));
  },
  frame: (frame) => frame,
};

/**
 * A form of the seeds: an entry that has none is not told, and nothing else is. Nor is one whose form cannot be made:
 * `onFault` hears of it.
 */
export function plainEncoding(form: PlainForm, clock: Clock, onFault: (error: unknown) => void): Encoding {
  const textsOf = (pushed: Pushed): readonly string[] => {
    try {
      const { entry } = JSON.parse(frameText(pushed.frame).toString()) as EntryFrame;
      return form.render(pushed.topic, entry.type, entry.data, clock.now());
    } catch (error) {
      onFault(error);
      return [];
    }
  };
  return {
    name: `plain ${form.name}`,
    entries: (list) => {
      const texts = list.flatMap(textsOf);
      return texts.length === 0 ? undefined : Buffer.concat(texts.map(textFrame));
    },
    frame: () => undefined,
  };
}
