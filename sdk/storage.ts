/**
 * Where the client keeps what has to survive a reload: the tokens and the messages that are not sent yet. One key a
 * thing, so that two tabs that share a storage do not overwrite each other's.
 */
export type ClientStorage = {
  /** Everything under keys that begin with `prefix`. */
  load(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** Resolves when it is stored. Rejects when it could not be. */
  save(key: string, text: string): Promise<void>;
  /** What is not there is removed already. */
  remove(key: string): Promise<void>;
};

/** Forgets everything with the process. */
export function memoryStorage(): ClientStorage {
  const texts = new Map<string, string>();
  return {
    load: (prefix) => Promise.resolve(new Map([...texts].filter(([key]) => key.startsWith(prefix)))),
    save: (key, text) => {
      texts.set(key, text);
      return Promise.resolve();
    },
    remove: (key) => {
      texts.delete(key);
      return Promise.resolve();
    },
  };
}
