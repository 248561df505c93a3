import { type Clock, within } from "./clock.ts";
import { type TidingsError, clientError } from "./errors.ts";

/** Where calls and the socket get their credential from. */
export type Tokens = {
  /**
   * A credential that is good for a while. `refused` is one that the server would not take, or that is about to end:
   * the answer is another one. Throws `TidingsError` `signed_out` when somebody has to sign in, and others when it
   * could not be had this time. Where there never is another one, throws `because`: what the server said of it.
   */
  token(refused?: string, because?: TidingsError): Promise<string>;
};

/** A credential that is always the same: an API key, or a token of an outside issuer. */
export function fixedToken(credential: string): Tokens {
  return {
    token: (refused, because = clientError("signed_out")) =>
      refused === credential ? Promise.reject(because) : Promise.resolve(credential),
  };
}

/** How long the application may take to get a token. After that it is asked anew. */
export const getTokenMs = 20_000;

/**
 * Tokens that the application gets elsewhere. `get` is asked once at a time, and only when another token is needed. It
 * says that somebody has to sign in by throwing `clientError("signed_out")`; after anything else it is asked again.
 */
export function tokensFrom(get: () => Promise<string>, clock: Clock): Tokens {
  let last: string | undefined;
  let asking: Promise<string> | undefined;
  const ask = async (refused: string | undefined, because: TidingsError | undefined): Promise<string> => {
    const token = await within(getTokenMs, clock, get());
    if (token === refused) throw because ?? clientError("signed_out");
    last = token;
    return token;
  };
  return {
    token: async (refused, because) => {
      if (last !== undefined && last !== refused) return last;
      asking ??= ask(refused, because).finally(() => (asking = undefined));
      return asking;
    },
  };
}
