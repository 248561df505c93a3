import { Connection } from "./connection.ts";
import { nativeFrames } from "./encodings.ts";
import type { Link } from "./link.ts";

/** A way to a client that takes nothing before it is told to. */
export class StuckLink implements Link {
  answersPings = true;
  unsentBytes = 0;
  reading = true;
  readonly written: Buffer[] = [];
  ended: string | undefined;
  /** What it was told about its end. */
  said: string | undefined;
  #drained: (() => void)[] = [];

  write(frames: Buffer): void {
    this.written.push(frames);
    this.unsentBytes += frames.length;
  }

  together(work: () => void): void {
    work();
  }

  setReading(reading: boolean): void {
    this.reading = reading;
  }

  onceDrained(callback: () => void): void {
    this.#drained.push(callback);
  }

  close(code: number, meaning: string): void {
    this.ended = String(code);
    this.said = meaning;
  }

  drain(): void {
    this.unsentBytes = 0;
    for (const callback of this.#drained.splice(0)) callback();
  }
}

/** An open connection over such a link. */
export function openStuck(onRoom: (connection: Connection) => void = () => undefined) {
  const link = new StuckLink();
  let rooms = 0;
  const connection = new Connection({
    link,
    address: "127.0.0.1",
    place: { calledHost: "localhost", forwarded: false },
    native: true,
    encoding: nativeFrames,
    frameTokens: 1,
    onRoom: (one) => {
      rooms++;
      onRoom(one);
    },
  });
  connection.phase = "open";
  return { link, connection, rooms: () => rooms };
}
