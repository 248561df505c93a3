import { topics } from "../protocol/topics.ts";
import type { ChatEntry } from "./chat-view.ts";
import type { Client } from "./client.ts";

export type RoomListeners = {
  readonly entry: (entry: ChatEntry) => void;
  /** Entries of the room were missed, or may have been: what is known of it was read before this moment. */
  readonly missed: (roomId: number) => void;
  /** The room cannot be heard any more, or could not be from the beginning. */
  readonly over: (roomId: number) => void;
};

/** Subscriptions to the topics of a person's rooms. */
export class RoomTopics {
  readonly #client: Pick<Client, "subscribe" | "surroundings">;
  readonly #listeners: RoomListeners;
  /** What ends each subscription. */
  readonly #ends = new Map<number, () => void>();

  constructor(client: Pick<Client, "subscribe" | "surroundings">, listeners: RoomListeners) {
    this.#client = client;
    this.#listeners = listeners;
  }

  /** Subscribes to these rooms and to no others. Returns those that were left. */
  follow(roomIds: ReadonlySet<number>): readonly number[] {
    const left = [...this.#ends.keys()].filter((roomId) => !roomIds.has(roomId));
    for (const roomId of left) {
      this.#ends.get(roomId)?.();
      this.#ends.delete(roomId);
    }
    for (const roomId of roomIds) {
      if (!this.#ends.has(roomId)) this.#ends.set(roomId, this.#subscribe(roomId));
    }
    return left;
  }

  end(): void {
    for (const end of this.#ends.values()) end();
    this.#ends.clear();
  }

  #subscribe(roomId: number): () => void {
    const { entry, missed, over } = this.#listeners;
    try {
      return this.#client.subscribe(topics.room(roomId), {
        entry,
        // What is known was read before this moment, and something may have happened in between.
        live: once(() => missed(roomId)),
        limited: () => missed(roomId),
        removed: () => {
          // Whoever was let in again meanwhile is subscribed anew when the room was read.
          this.#ends.delete(roomId);
          over(roomId);
        },
        refused: () => over(roomId),
      });
    } catch (error) {
      // More rooms than a connection may be subscribed to: this one is as the list of rooms said last.
      this.#client.surroundings.onError(error);
      return () => undefined;
    }
  }
}

/** Acts the first time only. */
export function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    act();
  };
}
