import { argon2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { AppError } from "../lib/errors.ts";

/** What one hash takes. Stored hashes name theirs, so that it can be raised later. */
export type PasswordCost = {
  readonly memoryKib: number;
  readonly passes: number;
  readonly parallelism: number;
};
/** Argon2id as OWASP recommends it for servers: 19 MiB, two passes. About 25 ms of one core. */
const standardCost: PasswordCost = { memoryKib: 19_456, passes: 2, parallelism: 1 };
const saltBytes = 16;
const hashBytes = 32;
/** Most that is computed for a stored hash: one that claims more was not written here. */
const costMax: PasswordCost = { memoryKib: 262_144, passes: 10, parallelism: 4 };
/** Hashes that are computed at once: each holds 19 MiB and a thread of the pool, which files and DNS share. */
export const atOnceMax = 2;
/** Callers that may wait for their turn; at 25 ms each the last one waits for less than two seconds. */
export const waitingMax = 100;

const derive = promisify(argon2);

export type Passwords = {
  /** The text to store: algorithm, cost, salt and hash (PHC string format). Throws `overloaded`. */
  hash(password: string): Promise<string>;
  /**
   * Whether the password is the one that was hashed. With undefined, the caller knows nobody of that name: it takes as
   * long and answers false, so that nobody learns which names exist. Throws `overloaded`.
   */
  verify(password: string, stored: string | undefined): Promise<boolean>;
};

export function createPasswords(cost: PasswordCost = standardCost): Passwords {
  const nobody: Stored = { ...cost, salt: Buffer.alloc(saltBytes), hash: Buffer.alloc(hashBytes) };
  let running = 0;
  const waiting: (() => void)[] = [];

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running < atOnceMax) running++;
    else {
      if (waiting.length >= waitingMax) throw new AppError("overloaded", { retryAfterS: 2 });
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      // The place is handed on, not given up: nobody who comes in between can take it.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  }

  return {
    hash: (password) =>
      inTurn(async () => {
        const salt = randomBytes(saltBytes);
        return format(cost, salt, await hashOf(password, { ...cost, salt, length: hashBytes }));
      }),
    verify: (password, stored) =>
      inTurn(async () => {
        const known = stored === undefined ? nobody : parse(stored);
        const computed = await hashOf(password, { ...known, length: known.hash.length });
        return timingSafeEqual(computed, known.hash) && known !== nobody;
      }),
  };
}

type Stored = PasswordCost & { readonly salt: Buffer; readonly hash: Buffer };

function hashOf(
  password: string,
  { memoryKib, passes, parallelism, salt, length }: Omit<Stored, "hash"> & { readonly length: number },
): Promise<Buffer> {
  return derive("argon2id", {
    // One letter has several spellings in Unicode, and keyboards differ in which they type.
    message: password.normalize("NFKC"),
    nonce: salt,
    memory: memoryKib,
    passes,
    parallelism,
    tagLength: length,
  });
}

function format({ memoryKib, passes, parallelism }: PasswordCost, salt: Buffer, hash: Buffer): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${parallelism}$${base64(salt)}$${base64(hash)}`;
}

const phc =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{22,86})$/;

/** Throws for what `format` cannot have written: a damaged row must not look like a wrong password. */
function parse(stored: string): Stored {
  const match = phc.exec(stored);
  const [memoryKib = 0, passes = 0, parallelism = 0] = (match ?? []).slice(1, 4).map(Number);
  const affordable =
    memoryKib <= costMax.memoryKib && passes <= costMax.passes && parallelism <= costMax.parallelism;
  if (match === null || !affordable) throw new Error("a stored password hash is damaged");
  const [, , , , salt = "", hash = ""] = match;
  const bytes = { salt: Buffer.from(salt, "base64"), hash: Buffer.from(hash, "base64") };
  return { memoryKib, passes, parallelism, ...bytes };
}

/** PHC strings leave the padding out. */
function base64(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
