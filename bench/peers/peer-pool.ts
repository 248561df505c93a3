import { Pool } from "pg";
import type { DbAddress } from "../../src/lib/db.ts";

/** A plain pool of pg: commits as durable as the log's, values as the driver gives them by default. */
export function openPeerPool({ host, port, user, database }: DbAddress, max: number): Pool {
  const pool = new Pool({ host, port, user, database, max, options: "-c synchronous_commit=on" });
  // graphile-worker asks for listeners on every connection.
  const ignore = (): void => undefined;
  pool.on("error", ignore);
  pool.on("connect", (client) => client.on("error", ignore));
  return pool;
}
