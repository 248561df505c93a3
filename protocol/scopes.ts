/** What an API key or a token may do. `admin` includes all others. */
export const scopes = {
  "webhook:write": "send webhooks to the inbox",
  "inbox:read": "read dialogs, their messages and contacts",
  "sources:manage": "create, change and remove webhook sources",
  "deadletters:manage": "list, show, retry and drop dead letters",
  "users:manage": "create, list and disable people",
  "chat:manage": "create rooms, change their members, read them and delete messages",
  "notify:write": "tell people things",
  "money:manage": "make payouts, assign payments, reconcile the ledger and lift its halt",
  "stats:read": "read statistics",
  admin: "everything",
} as const;

export type Scope = keyof typeof scopes;

/** Narrows a string to a scope. */
export function isScope(value: string): value is Scope {
  return Object.hasOwn(scopes, value);
}
