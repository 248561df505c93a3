import { errorCodeOf, errorMessage } from "../lib/errors.ts";
import { UsageError } from "./verb.ts";

/** Calls of a server over the network, for verbs that work without its database. */

/** How long an answer is waited for, milliseconds. */
export const answerWithinMs = 10_000;

/** The server cannot be asked just now; a while later it may be. */
export class ServerAway extends Error {
  override readonly name = "ServerAway";
}

/** The server does not take what it was shown. */
export class NotLetIn extends Error {
  override readonly name = "NotLetIn";
}

/** What `--url` names, as everything is put together that is asked there. Throws `UsageError`. */
export function serverUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || `${url.username}${url.password}` !== "")
    throw new UsageError(
      `--url must be an address such as https://tidings.example, without a name or password in it, and "${text}" is not`,
    );
  return new URL(url.pathname.replace(/\/*$/, "/"), url.origin);
}

/** How people are told where a server is. */
export function placeOf(server: URL): string {
  return server.href.replace(/\/$/, "");
}

/**
 * The answer's JSON; undefined where it has none. A `body` makes it a POST. Throws `ServerAway` where asking again may
 * help, and an error with the server's own sentence where it will not; `NotLetIn` where that is because of what it was shown.
 */
export async function callServer(
  server: URL,
  path: string,
  { body, signal }: { readonly body?: unknown; readonly signal?: AbortSignal } = {},
): Promise<unknown> {
  const within = AbortSignal.timeout(answerWithinMs);
  const post = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(new URL(path, server), {
      ...(body === undefined ? {} : post),
      redirect: "manual",
      signal: signal === undefined ? within : AbortSignal.any([within, signal]),
    });
    text = await response.text();
  } catch (error) {
    throw new ServerAway(`no server answers at ${placeOf(server)} (${whyOf(error)})`, { cause: error });
  }
  const answer = parsed(text);
  if (response.ok) return answer;
  const sentence = detailOf(answer);
  const what = `${placeOf(server)} answers ${response.status} to /${path}`;
  const { status } = response;
  if (status >= 500 || status === 408 || status === 429) throw new ServerAway(what);
  if (sentence === undefined) throw new Error(`${what}: is that the server, with its API?`);
  throw status === 401 ? new NotLetIn(`${what}: ${sentence}`) : new Error(`${what}: ${sentence}`);
}

/** Why a connection did not come about: `ECONNREFUSED`, if there is such a word for it. */
export function whyOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? (error.cause ?? error) : error;
  return errorCodeOf(cause) ?? errorMessage(cause);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What a problem document says about this very case. */
function detailOf(answer: unknown): string | undefined {
  if (typeof answer !== "object" || answer === null || !("detail" in answer)) return undefined;
  return typeof answer.detail === "string" ? answer.detail : undefined;
}
