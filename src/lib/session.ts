import { Client, type QueryConfig, type QueryResult } from "pg";
import { type DbAddress, type Row, clientConfig } from "./db.ts";
import { endsWithin } from "./backoff.ts";
import { cancelStatement } from "./cancel.ts";
import { asConnectFault, asStatementFault, breaksConnection } from "./db-faults.ts";
import type { Logger } from "./logger.ts";

export type SessionOptions = {
  readonly name: string;
  readonly log: Logger;
  /** Several statements on the way at once; a failing one does not stop those behind it. */
  readonly pipeline?: boolean;
  readonly statementTimeoutMs?: number;
  /** Runs on every new connection, before anything else. */
  readonly onConnect?: (client: Client) => Promise<void> | void;
};

/** How long a connection may take to end in good order, milliseconds; a database that is silent would take for ever. */
const closeMaxMs = 1_000;

/**
 * One database connection of one's own, opened on first use and replaced when it breaks. It never retries a
 * statement: whether the lost one took effect is the caller's question.
 */
export class Session {
  readonly #address: DbAddress;
  readonly #options: SessionOptions;
  #client: Promise<Client> | undefined;
  #closed = false;
  /** Statements of `query` that have no answer yet. */
  #running = 0;

  constructor(address: DbAddress, options: SessionOptions) {
    this.#address = address;
    this.#options = options;
  }

  /** Whether a connection stands, as far as this side knows. */
  get connected(): boolean {
    return this.#client !== undefined;
  }

  /** Connects if need be. Rejects with the connection's error. */
  connect(): Promise<Client> {
    if (this.#closed) return Promise.reject(asStatementFault(new Error("Client was closed")));
    this.#client ??= this.#open();
    return this.#client;
  }

  async query<R extends Row>(query: QueryConfig): Promise<QueryResult<R>> {
    const client = await this.connect();
    this.#running++;
    try {
      return await client.query<R>(query);
    } catch (error) {
      if (breaksConnection(error)) this.#drop(client);
      throw asStatementFault(error);
    } finally {
      this.#running--;
    }
  }

  /** What is on its way in a pipeline has a moment to end. A statement of `query` that still runs then is cancelled. */
  async close(): Promise<void> {
    this.#closed = true;
    const opening = this.#client;
    this.#client = undefined;
    if (opening === undefined) return;
    const ending = opening.then(
      async (client) => {
        const running = this.#running > 0;
        const ended = await endsWithin(client.end(), closeMaxMs).catch(() => true);
        client.connection.stream.destroy();
        // Without a pipeline, `pg` has let go of the statement and not ended it.
        if (running && !(ended && this.#options.pipeline === true)) cancelStatement(this.#address, client);
      },
      () => undefined,
    );
    // One that is still being opened ends when it is open, and nobody waits for that.
    await endsWithin(ending, closeMaxMs);
  }

  async #open(): Promise<Client> {
    const timeoutMs = this.#options.statementTimeoutMs ?? 30_000;
    const client = new Client({
      ...clientConfig(this.#address, `tidings ${this.#options.name}`),
      pipeline: this.#options.pipeline ?? false,
      statement_timeout: timeoutMs,
      query_timeout: timeoutMs + 5_000,
    });
    client.on("error", (error) => {
      this.#options.log.warn({ err: error, session: this.#options.name }, "database session lost");
      this.#drop(client);
    });
    client.on("end", () => this.#drop(client));
    try {
      await client.connect();
      await this.#options.onConnect?.(client);
      return client;
    } catch (error) {
      this.#client = undefined;
      client.end().catch(() => undefined);
      throw asConnectFault(error);
    }
  }

  #drop(client: Client): void {
    const current = this.#client;
    void current?.then(
      (connected) => {
        if (connected === client && this.#client === current) this.#client = undefined;
      },
      () => undefined,
    );
    client.end().catch(() => undefined);
  }
}
