import type { EntryFrame } from "../../protocol/frames.ts";
import type { PlainForm } from "../deps.ts";
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
 * The forms of the seeds: an entry that has none is not told, and nothing else is. Nor is one whose form cannot be made:
 * `onFault` hears of it.
 */
export function plainForms(forms: readonly PlainForm[], onFault: (error: unknown) => void): Encoding {
  const textOf = (pushed: Pushed): string | undefined => {
    try {
      const { entry } = JSON.parse(frameText(pushed.frame).toString()) as EntryFrame;
      for (const form of forms) {
        const text = form.render(pushed.topic, entry.type, entry.data);
        if (text !== undefined) return text;
      }
    } catch (error) {
      onFault(error);
    }
    return undefined;
  };
  return {
    name: "plain",
    entries: (list) => {
      const texts = list.map(textOf).filter((text) => text !== undefined);
      return texts.length === 0 ? undefined : Buffer.concat(texts.map(textFrame));
    },
    frame: () => undefined,
  };
}
