import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import {
  type IdbDatabase,
  type IdbFactory,
  type IdbRequest,
  indexedDbStorage,
} from "./indexed-db-storage.ts";
import { draftAgeMaxMs, folderStorage } from "./folder-storage.ts";
import { localStorageStorage } from "./local-storage.ts";
import { type ClientStorage, memoryStorage } from "./storage.ts";

const folders = await mkdtemp(path.join(os.tmpdir(), "tidings-storage-"));
after(() => rm(folders, { recursive: true, force: true }));

/** A `localStorage` that holds so many characters. */
function webStorage(room = Number.POSITIVE_INFINITY) {
  const texts = new Map<string, string>();
  return {
    texts,
    get length() {
      return texts.size;
    },
    key: (index: number) => [...texts.keys()][index] ?? null,
    getItem: (key: string) => texts.get(key) ?? null,
    setItem: (key: string, value: string) => {
      if (value.length > room) throw new Error("QuotaExceededError");
      texts.set(key, value);
    },
    removeItem: (key: string) => void texts.delete(key),
  };
}

/** As much of IndexedDB as is used: requests succeed and transactions complete later, or fail. */
function idb(options: { readonly failing?: { open?: boolean; write?: boolean } } = {}) {
  const { failing = {} } = options;
  const stores = new Map<string, Map<string, unknown>>();
  /** Keys whose texts were read. */
  const read: string[] = [];
  const opened: (IdbDatabase & { tell(type: string): void; closed: boolean })[] = [];
  const target = () => {
    const listeners = new Map<string, (() => void)[]>();
    return {
      addEventListener: (type: string, listener: () => void) =>
        void listeners.set(type, [...(listeners.get(type) ?? []), listener]),
      tell: (type: string) => {
        for (const listener of listeners.get(type) ?? []) listener();
      },
    };
  };
  const request = <T>(result: T, type = "success"): IdbRequest<T> => {
    const own = target();
    queueMicrotask(() => own.tell(type));
    return { addEventListener: own.addEventListener, result, error: new Error("not allowed") };
  };
  const database = () => {
    const own = target();
    const made = {
      ...own,
      closed: false,
      close: () => {
        made.closed = true;
      },
      createObjectStore: (name: string) => stores.set(name, new Map()),
      transaction: (name: string) => {
        assert.equal(made.closed, false, "the database is closed");
        const transaction = target();
        const texts = stores.get(name) ?? new Map<string, unknown>();
        const pending: (() => void)[] = [];
        queueMicrotask(() => {
          if (failing.write !== true) for (const change of pending) change();
          transaction.tell(failing.write === true ? "abort" : "complete");
        });
        return {
          addEventListener: transaction.addEventListener,
          error: new Error("disk full"),
          objectStore: () => ({
            put: (value: string, key: string) => pending.push(() => texts.set(key, value)),
            delete: (key: string) => pending.push(() => texts.delete(key)),
            get: (key: string) => {
              read.push(key);
              return request(texts.get(key));
            },
            getAllKeys: () => request<unknown[]>([...texts.keys()]),
          }),
        };
      },
    };
    opened.push(made);
    return made;
  };
  const factory: IdbFactory = {
    open: (name) => {
      assert.equal(name, "tidings");
      if (failing.open === true) return request(undefined as never, "error");
      const isNew = stores.size === 0;
      const own = target();
      const result = database();
      queueMicrotask(() => {
        if (isNew) own.tell("upgradeneeded");
        own.tell("success");
      });
      return { addEventListener: own.addEventListener, result, error: null };
    },
  };
  return { factory, opened, failing, read };
}

const kinds: Readonly<Record<string, () => ClientStorage>> = {
  memory: memoryStorage,
  localStorage: () => localStorageStorage(webStorage()),
  IndexedDB: () => indexedDbStorage(idb().factory),
  folder: () => folderStorage(path.join(folders, "deep", "down")),
};

for (const [name, make] of Object.entries(kinds)) {
  test(`${name}: what is saved is loaded by its prefix, replaced, and removed`, async () => {
    const storage = make();
    assert.equal((await storage.load("")).size, 0);
    await storage.save("outbox/7/a", "1");
    await storage.save("outbox/7/b", "ü𝄞");
    await storage.save("outbox/70/c", "3");
    await storage.save("session", "4");
    await storage.save("outbox/7/a", "5");
    assert.deepEqual(
      await storage.load("outbox/7/"),
      new Map([
        ["outbox/7/a", "5"],
        ["outbox/7/b", "ü𝄞"],
      ]),
    );
    await storage.remove("outbox/7/a");
    await storage.remove("never there");
    assert.deepEqual([...(await storage.load("")).keys()].toSorted(), [
      "outbox/7/b",
      "outbox/70/c",
      "session",
    ]);
  });
}

test("localStorage: what others keep there is not touched, and what does not fit is a rejection", async () => {
  const area = webStorage(5);
  area.texts.set("theirs", "x");
  const [one, two] = [localStorageStorage(area, "one"), localStorageStorage(area, "two")];
  await one.save("a", "1");
  await two.save("a", "2");
  assert.deepEqual(await one.load(""), new Map([["a", "1"]]));
  await assert.rejects(one.save("b", "too long"), /Quota/);
  await one.remove("a");
  assert.deepEqual([...area.texts.keys()], ["theirs", "two/a"]);
});

test("IndexedDB: what fails is a rejection, and the next call begins anew", async () => {
  const { factory, failing } = idb({ failing: { open: true } });
  const storage = indexedDbStorage(factory);
  await assert.rejects(storage.load(""), /not allowed/);
  failing.open = false;
  failing.write = true;
  await assert.rejects(storage.save("a", "1"), /disk full/);
  failing.write = false;
  await storage.save("a", "1");
  assert.deepEqual(await storage.load(""), new Map([["a", "1"]]));
});

test("IndexedDB: only texts that are asked for are read", async () => {
  const { factory, read } = idb();
  const storage = indexedDbStorage(factory);
  for (const key of ["outbox/7/a", "outbox/7/b", "session"]) await storage.save(key, key);
  assert.deepEqual(await storage.load("outbox/7/b"), new Map([["outbox/7/b", "outbox/7/b"]]));
  assert.deepEqual(read, ["outbox/7/b"]);
});

test("IndexedDB: it is opened once, and let go of when another tab needs that", async () => {
  const { factory, opened } = idb();
  const storage = indexedDbStorage(factory);
  await Promise.all([storage.save("a", "1"), storage.save("b", "2")]);
  assert.equal(opened.length, 1);
  opened[0]?.tell("versionchange");
  assert.equal(opened[0]?.closed, true);
  assert.equal((await storage.load("")).size, 2);
  assert.equal(opened.length, 2);
});

test("folder: the first thing that is kept makes it, for its owner alone", async () => {
  const folder = path.join(folders, "new", "folder");
  const storage = folderStorage(folder);
  assert.equal((await storage.load("")).size, 0);
  await assert.rejects(stat(folder), { code: "ENOENT" });
  await storage.save("session", "secret");
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.equal((await stat(path.join(folder, "session"))).mode & 0o777, 0o600);
});

test("folder: a file that was never finished is nothing, nor is one of somebody else", async () => {
  const folder = path.join(folders, "strangers");
  const storage = folderStorage(folder);
  await storage.save("a", "1");
  for (const name of ["b.1-1~", ".DS_Store", "100%", "%61", "notes.txt"]) {
    await writeFile(path.join(folder, name), "?");
  }
  assert.deepEqual(await storage.load(""), new Map([["a", "1"]]));
});

test("folder: what a killed process has left half written is removed, and nothing that may still be written", async () => {
  const folder = path.join(folders, "killed");
  const storage = folderStorage(folder);
  await storage.save("a", "1");
  const ages: Readonly<Record<string, number>> = {
    "a.999-1~": draftAgeMaxMs + 60_000,
    "a.999-2~": draftAgeMaxMs - 60_000,
    [`b.${process.pid}-1~`]: draftAgeMaxMs + 60_000,
    "notes.txt~": draftAgeMaxMs + 60_000,
    "%61.1-1~": draftAgeMaxMs + 60_000,
  };
  for (const [name, ageMs] of Object.entries(ages)) {
    const file = path.join(folder, name);
    await writeFile(file, "?");
    const at = new Date(Date.now() - ageMs);
    await utimes(file, at, at);
  }
  assert.deepEqual(await storage.load(""), new Map([["a", "1"]]));
  assert.deepEqual((await readdir(folder)).toSorted(), ["%61.1-1~", "a", "a.999-2~", "notes.txt~"]);
});

test("folder: no key leads out of it, and each finds back what it has kept", async () => {
  const folder = path.join(folders, "inner");
  const storage = folderStorage(folder);
  const keys = ["..", "../up", ".", "a/b", "a~", "CON*", "ü", "%2E"];
  for (const key of keys) await storage.save(key, key);
  const found = await storage.load("");
  assert.deepEqual([...found.keys()].toSorted(), keys.toSorted());
  assert.deepEqual([...found.values()].toSorted(), keys.toSorted());
  for (const [key, text] of found) assert.equal(text, key);
  assert.equal((await readdir(folder)).length, keys.length);
  assert.deepEqual(
    (await readdir(folders)).filter((name) => name === "up"),
    [],
  );
});

test("folder: of changes that overlap the last one counts, and none leaves anything lying about", async () => {
  const folder = path.join(folders, "busy");
  const storage = folderStorage(folder);
  const changes = Array.from({ length: 20 }, (_, i) => storage.save("a", String(i)));
  const removed = storage.remove("a");
  const last = storage.save("a", "last");
  await Promise.all([...changes, removed, last]);
  assert.deepEqual(await storage.load(""), new Map([["a", "last"]]));
  assert.deepEqual(await readdir(folder), ["a"]);
});

test("folder: what cannot be written is a rejection, and what is written next is not held up by it", async () => {
  const file = path.join(folders, "a file");
  await writeFile(file, "");
  const storage = folderStorage(path.join(file, "below"));
  await assert.rejects(storage.save("a", "1"), { code: "ENOTDIR" });
  await rm(file);
  await storage.save("a", "2");
  assert.deepEqual(await storage.load(""), new Map([["a", "2"]]));
});
