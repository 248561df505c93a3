import { removeOldSessions } from "../../access/old-sessions.ts";
import type { Deps, Module } from "../../deps.ts";
import { type People, createPeople } from "./people.ts";
import { authRoutes } from "./routes-auth.ts";
import { userRoutes } from "./routes-users.ts";
import { createSignIns } from "./sign-in.ts";
import { userTopics } from "./topics.ts";

/** People: who they are, and how they sign in. */
export function createAccounts(deps: Deps): Module & { readonly people: People } {
  const { clock, db, log } = deps;
  const people = createPeople(deps);
  const signIns = createSignIns(deps);
  return {
    name: "accounts",
    people,
    routes: [...authRoutes({ log, signIns }), ...userRoutes({ db, log, people, signIns })],
    consumers: [],
    timers: [
      {
        name: "old sessions",
        everyMs: 600_000,
        run: async (signal) => {
          const removed = await removeOldSessions(db, clock.now(), { signal });
          if (removed > 0) log.info({ removed }, "old sessions removed");
        },
      },
    ],
    topics: [userTopics],
  };
}
