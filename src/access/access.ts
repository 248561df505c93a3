import type { Actor } from "./actor.ts";
import type { ApiKeys } from "./api-keys.ts";

/** Who is this, may they: the only way for HTTP, gateway and modules to learn it. */
export type Access = {
  readonly apiKeys: ApiKeys;
  /**
   * The actor that a credential stands for: an API key (`tdk_…`) or a JWT.
   * Throws `AppError` `unauthorized` when it is neither, expired or revoked; `unavailable` when it cannot be checked.
   */
  authenticate(credential: string): Promise<Actor>;
};
