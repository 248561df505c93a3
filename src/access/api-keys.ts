import type { Scope } from "../../protocol/scopes.ts";
import type { KeyActor } from "./actor.ts";

export type ApiKey = {
  readonly id: number;
  readonly name: string;
  /** The first characters of the key: enough to recognise it, not to use it. */
  readonly hint: string;
  readonly scopes: readonly Scope[];
  readonly sourceId: number | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
};

export type NewApiKey = {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly sourceId?: number;
  readonly expiresAt?: Date;
};

export type ApiKeys = {
  /** Creates a key. `secret` is the key itself: it is stored only as a hash and can never be shown again. */
  create(key: NewApiKey): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  list(): Promise<readonly ApiKey[]>;
  /** Ends a key; every process honours it within 2 s. False when there is no such active key. */
  revoke(id: number): Promise<boolean>;
  /** The actor behind a key, or undefined when it is unknown, expired or revoked. */
  verify(secret: string): Promise<KeyActor | undefined>;
};
