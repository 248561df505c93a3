import { AppError } from "../lib/errors.ts";
import type { Actor } from "./actor.ts";
import { type ApiKeys, apiKeyPrefix } from "./api-keys.ts";
import type { Tokens } from "./tokens.ts";

/** Who is this, may they: the only way for HTTP, gateway and modules to learn it. */
export type Access = {
  readonly apiKeys: ApiKeys;
  /**
   * The actor that a credential stands for: an API key (`tdk_…`) or a JWT.
   * Throws `AppError` `unauthorized` when it is neither, expired or revoked; `unavailable` when it cannot be checked.
   */
  authenticate(credential: string): Promise<Actor>;
};

export function createAccess(deps: { readonly apiKeys: ApiKeys; readonly tokens: Tokens }): Access {
  const { apiKeys, tokens } = deps;
  return {
    apiKeys,
    authenticate: async (credential) => {
      if (!credential.startsWith(apiKeyPrefix)) return tokens.verify(credential);
      const actor = await apiKeys.verify(credential);
      if (actor === undefined) {
        throw new AppError("unauthorized", { detail: "The API key is unknown, expired or revoked" });
      }
      return actor;
    },
  };
}
