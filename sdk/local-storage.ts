import type { ClientStorage } from "./storage.ts";

/** What is used of the browser's `localStorage`. */
export type WebStorage = {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
};

/**
 * Keeps things in `localStorage`. Small and simple; a browser allows some 5 MB for a site, and the send queue stays
 * well below. `area` is `localStorage`, `name` sets apart several clients of one site.
 */
export function localStorageStorage(area: WebStorage, name = "tidings"): ClientStorage {
  const own = `${name}/`;
  return {
    load: async (prefix) => {
      const found = new Map<string, string>();
      for (let index = 0; index < area.length; index++) {
        const key = area.key(index);
        if (key === null || !key.startsWith(own + prefix)) continue;
        const text = area.getItem(key);
        if (text !== null) found.set(key.slice(own.length), text);
      }
      return found;
    },
    // Async, so that what the browser throws (no room, not allowed) is a rejection.
    save: async (key, text) => {
      area.setItem(own + key, text);
    },
    remove: async (key) => {
      area.removeItem(own + key);
    },
  };
}
