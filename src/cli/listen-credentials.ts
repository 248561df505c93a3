import { NotLetIn, callServer } from "./server-calls.ts";
import { UsageError } from "./verb.ts";

/** What a listener shows a server, until it is disposed of. */
export type Credentials = AsyncDisposable & {
  /** An access token for the next connection. Throws `ServerAway` where there may be one later. */
  token(signal: AbortSignal): Promise<string>;
};

/** How long the server has to end a sign-in, milliseconds: whoever pressed Ctrl-C waits for it. */
const signOutWithinMs = 3_000;

const isRefreshToken = (token: string): boolean => token.startsWith("tdr_");

/** The credentials that a person has given: a refresh token is renewed and signed out, anything else shown as it is. */
export function givenCredentials(server: URL, text: string): Credentials {
  const token = text.trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new UsageError(
      "--token (TIDINGS_TOKEN) must be an access token or a refresh token, without spaces",
    );
  if (isRefreshToken(token)) return new SignIn(server, { begin: () => Promise.resolve(token), again: false });
  return { token: () => Promise.resolve(token), [Symbol.asyncDispose]: () => Promise.resolve() };
}

/**
 * A sign-in that goes on. The server itself renews and ends it: a listener that kept the database for that would keep it
 * running beyond its server. What cannot be ended since the server is gone ends by itself: nobody else has its token.
 */
export class SignIn implements Credentials {
  readonly #server: URL;
  readonly #begin: () => Promise<string>;
  readonly #again: boolean;
  #refreshToken: string | undefined;

  /**
   * `begin`: resolves with the first refresh token; called when the server is known to be there. `again`: it gives another
   * one each time, and is called again when a sign-in is over because an answer was lost in which its next token stood.
   */
  constructor(
    server: URL,
    { begin, again }: { readonly begin: () => Promise<string>; readonly again: boolean },
  ) {
    this.#server = server;
    this.#begin = begin;
    this.#again = again;
  }

  async token(signal: AbortSignal): Promise<string> {
    const isFresh = this.#refreshToken === undefined;
    if (this.#refreshToken === undefined) {
      await callServer(this.#server, "health/live", { signal });
      this.#refreshToken = await this.#begin();
    }
    try {
      return await this.#renew(this.#refreshToken, signal);
    } catch (error) {
      if (isFresh || !this.#again || !(error instanceof NotLetIn)) throw error;
      this.#refreshToken = undefined;
      return this.token(signal);
    }
  }

  async #renew(refreshToken: string, signal: AbortSignal): Promise<string> {
    const body = { refresh_token: refreshToken };
    const answer = signedIn(await callServer(this.#server, "api/v1/auth/refresh", { body, signal }));
    this.#refreshToken = answer.refresh_token;
    return answer.access_token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#refreshToken === undefined) return;
    const body = { refresh_token: this.#refreshToken };
    const signal = AbortSignal.timeout(signOutWithinMs);
    await callServer(this.#server, "api/v1/auth/logout", { body, signal }).catch(() => undefined);
  }
}

function signedIn(answer: unknown): { readonly access_token: string; readonly refresh_token: string } {
  if (
    typeof answer === "object" &&
    answer !== null &&
    "access_token" in answer &&
    "refresh_token" in answer
  ) {
    const { access_token, refresh_token } = answer;
    if (typeof access_token === "string" && typeof refresh_token === "string")
      return { access_token, refresh_token };
  }
  throw new Error("What answers there is no server of this kind: it gives no tokens");
}
