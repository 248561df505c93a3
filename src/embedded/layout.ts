import { createHash } from "node:crypto";
import path from "node:path";

/** Where the embedded PostgreSQL keeps what. */
export type Layout = {
  readonly dataDir: string;
  readonly cluster: string;
  readonly logs: string;
  readonly sockets: string;
};

/** The socket's name is made of it; nothing listens on this port. */
export const socketPort = 5432;

/** Bytes of a socket's path that every supported system takes (macOS: 104 with the ending zero). */
export const socketPathBytesMax = 103;

export function clusterDir(dataDir: string): string {
  return path.join(dataDir, "postgres");
}

export function layoutOf(dataDir: string): Layout {
  return {
    dataDir,
    cluster: clusterDir(dataDir),
    logs: path.join(dataDir, "postgres-log"),
    sockets: socketDir(dataDir),
  };
}

/**
 * Every process that uses `dataDir` must come to the same answer, whatever its TMPDIR: hence the fixed /tmp, where
 * the directory's owner and mode keep others out.
 */
function socketDir(dataDir: string): string {
  const near = path.join(dataDir, "run");
  if (Buffer.byteLength(path.join(near, `.s.PGSQL.${socketPort}`)) <= socketPathBytesMax) return near;
  const hash = createHash("sha256").update(dataDir).digest("hex").slice(0, 16);
  return `/tmp/tidings-${hash}`;
}
