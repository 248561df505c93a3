import type { ClientStorage } from "./storage.ts";

/** What is used of the browser's IndexedDB, so that this file needs no types of browsers. */
export type IdbFactory = { open(name: string, version: number): IdbRequest<IdbDatabase> };
type Target = { addEventListener(type: string, listener: () => void): void };
export type IdbRequest<T> = Target & { readonly result: T; readonly error: unknown };
export type IdbDatabase = Target & {
  createObjectStore(name: string): unknown;
  transaction(store: string, mode: "readonly" | "readwrite"): IdbTransaction;
  close(): void;
};
export type IdbTransaction = Target & { readonly error: unknown; objectStore(name: string): IdbStore };
export type IdbStore = {
  put(value: string, key: string): unknown;
  delete(key: string): unknown;
  get(key: string): IdbRequest<unknown>;
  getAllKeys(): IdbRequest<unknown[]>;
};

const storeName = "texts";

/** Keeps things in IndexedDB: more room than `localStorage`, and nothing waits for the disk. `factory` is `indexedDB`. */
export function indexedDbStorage(factory: IdbFactory, name = "tidings"): ClientStorage {
  let opened: Promise<IdbDatabase> | undefined;
  const open = (): Promise<IdbDatabase> => {
    const opening = (opened ??= openDatabase(factory, name, () => (opened = undefined)));
    // What failed once may succeed the next time.
    opening.catch(() => {
      if (opened === opening) opened = undefined;
    });
    return opening;
  };
  const write = async (change: (store: IdbStore) => void): Promise<void> => {
    const transaction = (await open()).transaction(storeName, "readwrite");
    change(transaction.objectStore(storeName));
    // Not the request's success: a transaction may still fail when it is written.
    await new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", resolve);
      transaction.addEventListener("abort", () => reject(asError(transaction.error)));
    });
  };
  return {
    load: async (prefix) => {
      const store = (await open()).transaction(storeName, "readonly").objectStore(storeName);
      const all = await resultOf(store.getAllKeys());
      const keys = all.filter((key): key is string => typeof key === "string" && key.startsWith(prefix));
      // In the same transaction: nobody changes anything in between. Texts that were not asked for are not read.
      const texts = await Promise.all(keys.map((key) => resultOf(store.get(key))));
      const found = new Map<string, string>();
      for (const [index, key] of keys.entries()) {
        const text = texts[index];
        if (typeof text === "string") found.set(key, text);
      }
      return found;
    },
    save: (key, text) => write((store) => store.put(text, key)),
    remove: (key) => write((store) => store.delete(key)),
  };
}

async function openDatabase(factory: IdbFactory, name: string, gone: () => void): Promise<IdbDatabase> {
  const opening = factory.open(name, 1);
  opening.addEventListener("upgradeneeded", () => opening.result.createObjectStore(storeName));
  const database = await resultOf(opening);
  // Another tab deletes the database or has a newer one: it waits until everybody has let go.
  database.addEventListener("versionchange", () => {
    database.close();
    gone();
  });
  return database;
}

function resultOf<T>(request: IdbRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(asError(request.error)));
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("IndexedDB failed", { cause: reason });
}
