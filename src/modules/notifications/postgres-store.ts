import type { Deps } from "../../deps.ts";
import { expireNotifications } from "./expire.ts";
import { markNotifications } from "./mark.ts";
import { People } from "./people.ts";
import { readPreferences, savePreferences } from "./wishes/preferences.ts";
import { countUnread, listNotifications, replayUnread } from "./queries.ts";
import { releaseHeld } from "./wishes/release.ts";
import { saveNotify } from "./save-notify.ts";
import type { NotificationStore } from "./store.ts";

/** Notifications in PostgreSQL: rows, counts and entries are written in one transaction. */
export function createPostgresStore(
  deps: Pick<Deps, "db" | "eventlog" | "clock" | "log">,
  people: People = new People(),
): NotificationStore {
  const { db, clock } = deps;
  const own = { ...deps, people };
  return {
    notify: (requests, { again = false } = {}) => saveNotify(own, requests, again),
    mark: (who, mark) => markNotifications(own, who, mark),
    list: (userId, query) => listNotifications(db, userId, query, clock.now()),
    unread: (userId) => countUnread(db, userId, clock.now()),
    replay: (wishes) => replayUnread(db, wishes, clock.now()),
    preferences: (userId) => readPreferences(db, userId),
    setPreferences: (who, wished) => savePreferences(own, who, wished),
    release: (signal) => releaseHeld(own, signal),
    expire: (signal) => expireNotifications(own, signal),
  };
}
