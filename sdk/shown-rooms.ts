import type { Snapshot } from "./chat-view.ts";
import { isPassing } from "./errands.ts";
import { clientError } from "./errors.ts";

/** What is asked of the store. */
export type ShownRoomsDeps = {
  readonly readRoom: (roomId: number) => Promise<Snapshot>;
  readonly readList: () => Promise<void>;
  /** Reads the room by itself, as soon as that is possible. */
  readonly readLater: (roomId: number) => void;
  /** It is among the person's rooms, or nothing is shown any more. */
  readonly isShown: (roomId: number) => boolean;
  /** The list of rooms was read. Before that a person may not even be a member of those that everybody is in. */
  readonly isListRead: () => boolean;
};

/** Rooms that somebody looks at: which they are, what of them is wanted, and how one gets to be shown. */
export class ShownRooms {
  readonly #deps: ShownRoomsDeps;
  /** Rooms whose messages are on a screen, and those whose members are. */
  readonly #opened = new Set<number>();
  readonly #listed = new Set<number>();
  /** Rooms whose messages somebody has asked for, also when the screen is closed by now. */
  readonly #visited = new Set<number>();
  /** How often each room was asked for. */
  readonly #wishes = new Map<number, number>();

  constructor(deps: ShownRoomsDeps) {
    this.#deps = deps;
  }

  has(roomId: number): boolean {
    return this.#opened.has(roomId) || this.#listed.has(roomId);
  }

  /** What of the room is on a screen. */
  wanted(roomId: number): { readonly messages: boolean; readonly members: boolean } {
    return { messages: this.#opened.has(roomId), members: this.#listed.has(roomId) };
  }

  /** Whether somebody has asked for its messages since the person is a member. */
  isVisited(roomId: number): boolean {
    return this.#visited.has(roomId);
  }

  /** Its messages are asked for, without a screen that stays. */
  visit(roomId: number): void {
    this.#visited.add(roomId);
  }

  async open(roomId: number): Promise<void> {
    this.#opened.add(roomId);
    this.visit(roomId);
    await this.#show(roomId);
  }

  close(roomId: number): void {
    this.#opened.delete(roomId);
  }

  async list(roomId: number): Promise<void> {
    this.#listed.add(roomId);
    await this.#show(roomId);
  }

  /** The person is no member any more. */
  left(roomId: number): void {
    this.#opened.delete(roomId);
    this.#listed.delete(roomId);
    this.#visited.delete(roomId);
  }

  /** Reads a room that somebody wants to see: at once, or, where that fails for now, by itself later. */
  async #show(roomId: number): Promise<void> {
    try {
      await this.#showNow(roomId);
    } catch (error) {
      if (isPassing(error) && this.has(roomId)) this.#deps.readLater(roomId);
      throw error;
    }
  }

  async #showNow(roomId: number): Promise<void> {
    const { readRoom, readList, isShown, isListRead } = this.#deps;
    const wish = (this.#wishes.get(roomId) ?? 0) + 1;
    this.#wishes.set(roomId, wish);
    let snapshot = await readRoom(roomId);
    if (!isShown(roomId) && !isListRead()) {
      await readList();
      if (isShown(roomId)) snapshot = await readRoom(roomId);
    }
    if (isShown(roomId)) return;
    // Whoever asked for it later may be answered otherwise.
    if (this.#wishes.get(roomId) === wish) this.left(roomId);
    throw (snapshot.kind === "gone" ? snapshot.refusal : undefined) ?? clientError("not_member");
  }
}
