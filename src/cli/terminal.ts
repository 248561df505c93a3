import { LiveLine } from "./live-line.ts";
import { printable, tableLines } from "./table.ts";

export type OutputStream = { write(text: string): unknown; readonly isTTY?: boolean };

export type Style = "bold" | "dim" | "green" | "yellow" | "red";

/** Where the command line writes. Results go to standard output, words about them to standard error. */
export type Terminal = {
  /** A person watches: standard output is a terminal. Else it is read by programs and files. */
  readonly live: boolean;
  /** One line of the result. */
  readonly print: (text: string) => void;
  /** One line that is not the result: progress, warnings, errors. */
  readonly notice: (text: string) => void;
  /** A line for whoever started a server: in a terminal with the result, else beside it on standard error. */
  readonly announce: (text: string) => void;
  readonly table: (heading: readonly string[], rows: readonly (readonly (string | number)[])[]) => void;
  readonly json: (value: unknown) => void;
  readonly style: (style: Style, text: string) => string;
  /** Begins a step of a longer work, which ends the one before it. */
  readonly step: (text: string) => void;
  /** Ends the last step. */
  readonly endSteps: () => void;
};

const styleCodes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  yellow: [33, 39],
  red: [31, 39],
};

export function createTerminal(io: {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}): Terminal {
  const { stdout, stderr, env } = io;
  const live = stdout.isTTY === true;
  const coloured = live && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  const line = new LiveLine(stdout);

  /** A line that is being redrawn must not be written into. */
  function write(stream: OutputStream, text: string): void {
    line.hide();
    stream.write(`${text}\n`);
    line.show();
  }

  const terminal: Terminal = {
    live,
    print: (text) => write(stdout, text),
    notice: (text) => write(stderr, text),
    announce: (text) => write(live ? stdout : stderr, text),
    table: (heading, rows) => {
      const [first = "", ...others] = tableLines(heading, rows);
      terminal.print(terminal.style("bold", first));
      for (const other of others) terminal.print(other);
    },
    json: (value) => terminal.print(JSON.stringify(value, undefined, 2)),
    style: (style, text) => {
      const [on, off] = styleCodes[style];
      return coloured ? `\u001b[${on}m${text}\u001b[${off}m` : text;
    },
    step: (text) => {
      // A line that is redrawn is made of escape sequences, too.
      if (!coloured) return terminal.announce(`${text} …`);
      line.end();
      line.begin(printable(text));
    },
    endSteps: () => line.end(),
  };
  return terminal;
}
