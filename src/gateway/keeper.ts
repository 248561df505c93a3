import type { CloseReason } from "../../protocol/close-codes.ts";
import type { Access } from "../access/access.ts";
import type { Clock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import type { Connection } from "./connection.ts";
import { pingFrame } from "./frame-bytes.ts";
import { frameOf } from "./frames.ts";
import { Wheel } from "./wheel.ts";

/** How often each connection is pinged and looked at, milliseconds. One that is silent for a whole turn is dead. */
export const heartbeatMs = 25_000;
const slots = 100;
/** How long before its end a person is told about their token, milliseconds: two looks at the least. */
const tellExpiryMs = 60_000;
/** How long a client may take nothing before it is sent away, milliseconds. */
export const slowReaderMs = 90_000;

/** Looks at every connection in turn: is it alive, does it read, are its credentials still good? */
export class Keeper {
  readonly #wheel: Wheel<Connection>;
  readonly #access: Pick<Access, "authenticate">;
  readonly #clock: Clock;
  readonly #end: (connection: Connection, reason: CloseReason) => void;
  /** Those whose credentials end before they are looked at again. */
  readonly #ending = new Map<Connection, NodeJS.Timeout>();

  constructor(deps: {
    readonly access: Pick<Access, "authenticate">;
    readonly clock: Clock;
    readonly end: (connection: Connection, reason: CloseReason) => void;
  }) {
    this.#access = deps.access;
    this.#clock = deps.clock;
    this.#end = deps.end;
    this.#wheel = new Wheel({ turnMs: heartbeatMs, slots, visit: (connection) => this.visit(connection) });
  }

  add(connection: Connection): void {
    connection.slot = this.#wheel.add(connection);
  }

  remove(connection: Connection): void {
    this.#wheel.remove(connection, connection.slot);
    clearTimeout(this.#ending.get(connection));
    this.#ending.delete(connection);
  }

  stop(): void {
    this.#wheel.stop();
    for (const timer of this.#ending.values()) clearTimeout(timer);
    this.#ending.clear();
  }

  visit(connection: Connection): void {
    const { fullSinceMs } = connection;
    if (fullSinceMs === undefined) {
      if (!connection.heard) return this.#end(connection, "dead");
      connection.heard = false;
      connection.write(pingFrame);
    } else if (performance.now() - fullSinceMs > slowReaderMs) {
      return this.#end(connection, "slow_reader");
    } else {
      // A ping would wait behind what it does not take: it cannot be expected to answer.
      connection.heard = true;
    }
    this.#checkCredentials(connection);
  }

  #checkCredentials(connection: Connection): void {
    const { actor, apiKey } = connection;
    if (apiKey !== undefined) {
      this.#access.authenticate(apiKey).catch((error: unknown) => {
        // A database that is away says nothing about the key.
        if (error instanceof AppError && error.code === "unauthorized") this.#end(connection, "unauthorized");
      });
      return;
    }
    if (actor?.kind !== "user") return;
    const leftMs = actor.expiresAt - this.#clock.now();
    if (leftMs <= 0) return this.#end(connection, "token_expired");
    if (leftMs < heartbeatMs) this.#lookAgain(connection, leftMs);
    if (leftMs > tellExpiryMs || connection.toldExpiry) return;
    connection.toldExpiry = true;
    if (!connection.native) return;
    const expires_at = new Date(actor.expiresAt).toISOString();
    connection.write(frameOf({ type: "token.expiring", expires_at }));
  }

  #lookAgain(connection: Connection, inMs: number): void {
    clearTimeout(this.#ending.get(connection));
    const timer = setTimeout(() => {
      this.#ending.delete(connection);
      this.#checkCredentials(connection);
    }, inMs);
    this.#ending.set(connection, timer);
  }
}
