import type { OutputStream } from "./terminal.ts";

/** A stream of a test that keeps what was written to it. */
export type Recording = OutputStream & {
  text(): string;
  lines(): readonly string[];
};

export function recordStream(isTTY = false): Recording {
  let written = "";
  return {
    isTTY,
    write: (text) => {
      written += text;
    },
    text: () => written,
    lines: () => written.split("\n").filter((line) => line !== ""),
  };
}
