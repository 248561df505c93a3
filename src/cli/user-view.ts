import { type User, toAccount } from "../access/users.ts";

/** Somebody as `--json` prints them: as people see themselves over HTTP, and since when they are disabled. */
export function userView(user: User) {
  return { ...toAccount(user), disabled_at: user.disabledAt?.toISOString() ?? null };
}
