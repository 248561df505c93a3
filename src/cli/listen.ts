import { createInterface } from "node:readline";
import { pause } from "../lib/backoff.ts";
import { baseUrl } from "./banner.ts";
import type { VerbContext } from "./context.ts";
import { openResources, watchStopSignals } from "./stopping.ts";
import { printable } from "./table.ts";
import type { Credentials } from "./listen-credentials.ts";
import type { UnreadList } from "./listen-unread.ts";
import { type Verb, type VerbArgs, idOf } from "./verb.ts";

/** How often a server that is not there is tried, milliseconds. */
const tryEveryMs = 1_000;

/** The seed's client: shows what a person is told, and marks it as read. */
export const listen: Verb = {
  name: "listen",
  summary: "show what a person is told, as it comes, and mark it as read",
  usage: "",
  example: "listen --user 1 --login test --auto",
  options: {
    user: { type: "text", value: "ID", required: true, doc: "the person's id; tidings user list shows it" },
    login: { type: "text", value: "USERNAME", doc: "must be theirs, if it is given" },
    auto: { type: "flag", doc: "mark everything as read at once; otherwise Enter marks the oldest" },
    url: {
      type: "text",
      value: "URL",
      doc: "where the server is; this machine and the server's port unless given",
    },
    token: {
      type: "text",
      value: "TOKEN",
      doc: "the person's access or refresh token (or TIDINGS_TOKEN): needs no database, so works from another machine",
    },
  },
  settings: true,
  run: async (context, args) => {
    const { terminal } = context;
    const id = idOf(args.text("user") ?? "", "user list");
    const login = args.text("login");
    const [{ UnreadList }, { placeOf }] = await Promise.all([
      import("./listen-unread.ts"),
      import("./server-calls.ts"),
    ]);
    const server = await serverOf(context, args);
    const auto = args.flag("auto");
    const unread = new UnreadList(terminal, { auto });
    using stopping = watchStopSignals({
      signals: process,
      announce: terminal.notice,
      accepting: () => false,
      exit: (code) => process.exit(code),
      whatHangs: () => `the sign-in was not ended; open: ${openResources()}`,
    });
    await using credentials = await credentialsOf(context, args, { server, id });
    terminal.notice(`Listening at ${placeOf(server)}. ${auto ? autoAdvice : enterAdvice} Ctrl-C ends it.`);
    using lines = createInterface({ input: process.stdin });
    lines.on("line", () => unread.readOldest());
    const parameters = { user_id: String(id), ...(login === undefined ? {} : { login }) };
    await hearOn(context, { server, parameters, credentials, unread, signal: stopping.signal });
  },
};

const autoAdvice = "Everything is marked as read as it comes.";
const enterAdvice = "Enter marks the oldest unread one as read.";

async function serverOf({ readConfig }: VerbContext, args: VerbArgs): Promise<URL> {
  const { serverUrl } = await import("./server-calls.ts");
  const url = args.text("url");
  if (url !== undefined) return serverUrl(url);
  const { host, port } = await readConfig();
  return serverUrl(baseUrl(host, port));
}

/** The database is opened to begin a sign-in and closed again: whoever kept it open would run it beyond its server. */
async function credentialsOf(
  { environment, openBackstage }: VerbContext,
  args: VerbArgs,
  { server, id }: { readonly server: URL; readonly id: number },
): Promise<Credentials> {
  const { SignIn, givenCredentials } = await import("./listen-credentials.ts");
  const given = args.text("token") ?? environment["TIDINGS_TOKEN"] ?? "";
  if (given.trim() !== "") return givenCredentials(server, given);
  const begin = async (): Promise<string> => {
    await using backstage = await openBackstage({ mayStart: false });
    return await backstage.signInAs(id);
  };
  return new SignIn(server, { begin, again: true });
}

/** One connection after the other, until the signal. Throws where there is to be none any more. */
async function hearOn(
  { terminal }: VerbContext,
  listener: {
    readonly server: URL;
    readonly parameters: Readonly<Record<string, string>>;
    readonly credentials: Credentials;
    readonly unread: UnreadList;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { credentials, server, signal } = listener;
  const [{ hearOnce }, { ServerAway, placeOf }] = await Promise.all([
    import("./listen-connection.ts"),
    import("./server-calls.ts"),
  ]);
  /** What was said last of a server that is away: it is not said with every attempt. */
  let said = "";
  const say = (text: string): void => {
    if (text !== said) terminal.notice(printable(`${text.slice(0, 1).toUpperCase()}${text.slice(1)}`));
    said = text;
  };
  const onOpen = (): void => {
    if (said !== "") terminal.notice(`Connected to ${placeOf(server)}.`);
    said = "";
  };
  while (!signal.aborted) {
    try {
      const token = await credentials.token(signal);
      if (signal.aborted) return;
      const { why, withinMs, isUsual = false } = await hearOnce({ ...listener, token, onOpen });
      if (signal.aborted) return;
      if (!isUsual) say(`${why}; trying again within ${Math.max(withinMs, tryEveryMs) / 1_000} s`);
      // At any time within it, so that the many who are sent away together do not come back together.
      await pause(Math.random() * withinMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ServerAway)) throw error;
      say(`${error.message}; trying every ${tryEveryMs / 1_000} s`);
      await pause(tryEveryMs, signal);
    }
  }
}
