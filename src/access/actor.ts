import type { UserRole } from "../../protocol/accounts.ts";
import type { Scope } from "../../protocol/scopes.ts";
import { AppError } from "../lib/errors.ts";

/** Who is speaking. */
export type Actor = KeyActor | UserActor;

/** Another program, by an API key. */
export type KeyActor = {
  readonly kind: "key";
  readonly id: number;
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The webhook source that this key speaks for, if it is bound to one. */
  readonly sourceId: number | undefined;
};

/** A person, by a token. */
export type UserActor = {
  readonly kind: "user";
  /** `account_user.id`, whoever issued the token. */
  readonly id: number;
  readonly username: string;
  readonly role: UserRole;
  /** The sign-in that the token belongs to, if it is one of this server's. */
  readonly sessionId: string | undefined;
  /** When the token ends, unix milliseconds. */
  readonly expiresAt: number;
  readonly scopes: ReadonlySet<Scope>;
};

/** How entries name their actor. */
export function actorName(actor: Actor): string {
  return `${actor.kind}:${actor.id}`;
}

/** Who caused a change, and under which request: the fields of the line that is logged about it. */
export function byWhom(request: { readonly actor: Actor | undefined; readonly requestId: string }): {
  readonly request_id: string;
  readonly actor: string;
} {
  const { actor, requestId } = request;
  return { request_id: requestId, actor: actor === undefined ? "nobody" : actorName(actor) };
}

/** Whether the actor may do what the scope stands for. */
export function hasScope(actor: Actor, scope: Scope): boolean {
  return actor.scopes.has(scope) || actor.scopes.has("admin");
}

/** The person that the actor is. Throws `AppError` `forbidden` for a program. */
export function personOf(actor: Actor | undefined): UserActor {
  if (actor?.kind === "user") return actor;
  throw new AppError("forbidden", { detail: "this is for people: an API key is nobody in particular" });
}

/**
 * Lets a person alone to what is theirs: `id` is that of the person, as topics spell it. Rejects with `AppError`
 * `forbidden` for everybody else, admins and programs too.
 */
export async function requireThemselves(actor: Actor, id: string): Promise<void> {
  if (actor.kind === "user" && String(actor.id) === id) return;
  throw new AppError("forbidden", { detail: "what concerns one person is for them alone" });
}
