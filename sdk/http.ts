import { isRefusal } from "./errors.ts";
import type { Tokens } from "./tokens.ts";
import type { Call, Transport } from "./transport.ts";

/** Calls with the caller's credential. */
export type Http = {
  /** The answer is what the route's schema says; it is not checked again here. */
  call<T>(call: Call): Promise<T>;
};

/**
 * A call whose token is refused is sent once more with another one. That is always safe: a call without good
 * credentials has done nothing.
 */
export function createHttp(transport: Transport, tokens: Tokens): Http {
  const call = async (item: Call): Promise<unknown> => {
    const token = await tokens.token();
    try {
      return await transport(item, token);
    } catch (error) {
      if (!isRefusal(error, 401)) throw error;
      return transport(item, await tokens.token(token, error));
    }
  };
  return { call: <T>(item: Call) => call(item) as Promise<T> };
}
