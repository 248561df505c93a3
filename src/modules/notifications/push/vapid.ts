import type { Deps } from "../../../deps.ts";

/** What pushes are signed with, in base64url, and whom push services may write to. */
export type Vapid = { readonly publicKey: string; readonly privateKey: string; readonly subject: string };

type VapidDeps = Pick<Deps, "db" | "config">;

/**
 * The key pair that browsers subscribe with and that pushes are signed with: that of the options, or else one that is
 * made once and kept in the database, so that all processes have the same one and a restored backup has the one that its
 * subscriptions are good with. Looked up on first use.
 */
export function createVapid({ db, config }: VapidDeps): () => Promise<Vapid> {
  const { vapidPublicKey: publicKey, vapidPrivateKey: privateKey, vapidSubject: subject } = config;
  if (publicKey !== undefined && privateKey !== undefined)
    return () => Promise.resolve({ publicKey, privateKey, subject });
  let found: Promise<Vapid> | undefined;
  return () => {
    found ??= keptPair(db)
      .then((pair) => ({ ...pair, subject }))
      .catch((error: unknown) => {
        found = undefined;
        throw error;
      });
    return found;
  };
}

type Pair = Pick<Vapid, "publicKey" | "privateKey">;

async function keptPair(db: VapidDeps["db"]): Promise<Pair> {
  const kept = await readPair(db);
  if (kept !== undefined) return kept;
  const { default: webPush } = await import("web-push");
  const { publicKey, privateKey } = webPush.generateVAPIDKeys();
  // Of several processes that start together one writes, and all read what it has written.
  await db.query(
    "insert into notification_push_key (public_key, private_key) values ($1, $2) on conflict do nothing",
    [Buffer.from(publicKey, "base64url"), Buffer.from(privateKey, "base64url")],
  );
  const written = await readPair(db);
  if (written === undefined) throw new Error("the key of web push was removed just after it was made");
  return written;
}

async function readPair(db: VapidDeps["db"]): Promise<Pair | undefined> {
  const { rows } = await db.query<{ public_key: Buffer; private_key: Buffer }>(
    "select public_key, private_key from notification_push_key",
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    publicKey: row.public_key.toString("base64url"),
    privateKey: row.private_key.toString("base64url"),
  };
}
