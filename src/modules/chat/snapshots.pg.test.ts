import assert from "node:assert/strict";
import { test } from "node:test";
import type { UserActor } from "../../access/actor.ts";
import type { Db, QueryOptions, Queryable, Row } from "../../lib/db.ts";
import { openChat } from "./chat.fixture.ts";
import { createRoom } from "./create-room.ts";
import { markRead } from "./mark-read.ts";
import { openDirect } from "./open-direct.ts";
import { listMessages } from "./queries-messages.ts";
import { listMyRooms, showRoom } from "./queries.ts";

/**
 * Whoever writes has read up to there: so somebody who is alone in writing never has anything unread, at whatever moment
 * they look.
 */

const chat = await openChat();
let people = 0;
const someone = (): Promise<UserActor> => chat.person(`watched-${++people}`);

/** The same database, but when it has answered the statement of this number, counted from 1, something happens first. */
function interrupted(deed: () => Promise<unknown>, at: number) {
  const seen = { statements: 0 };
  const on = (queryable: Queryable): Queryable => ({
    query: async <R extends Row>(text: string, values?: readonly unknown[], options?: QueryOptions) => {
      const result = await queryable.query<R>(text, values, options);
      if (++seen.statements === at) await deed();
      return result;
    },
  });
  const db: Db = {
    ...chat.db,
    ...on(chat.db),
    transaction: (work) => chat.db.transaction((tx) => work({ ...tx, ...on(tx) })),
  };
  return { deps: { ...chat, db }, seen };
}

type Scene = {
  readonly me: UserActor;
  readonly peer: UserActor;
  readonly roomId: number;
  readonly directId: number;
};

async function openScene(): Promise<Scene> {
  const [me, peer] = [await someone(), await someone()];
  const { id: roomId } = await createRoom(chat, me, {
    kind: "private",
    name: "watched",
    member_ids: [peer.id],
  });
  const directId = (await openDirect(chat, me, peer.id)).myRoom.room.id;
  // So that nobody joins it on the way.
  await listMyRooms(chat, me, {});
  for (const room of [roomId, directId]) await chat.say(me, room, "the first");
  return { me, peer, roomId, directId };
}

type Deps = ReturnType<typeof interrupted>["deps"];
type Unread = { readonly last_seq: number; readonly last_read_seq: number; readonly unread: number };
/** What somebody is told about a room. */
type Look = (deps: Deps, scene: Scene) => Promise<Unread>;

const looks: Readonly<Record<string, { readonly in: "roomId" | "directId"; readonly look: Look }>> = {
  "a room": {
    in: "roomId",
    look: async ({ db }, { me, roomId }) => {
      const { room, mine } = await showRoom(db, me, roomId);
      assert.ok(mine !== null);
      assert.deepEqual(mine.room, room);
      return { ...mine, last_seq: room.last_seq };
    },
  },
  "a direct room": {
    in: "directId",
    look: async ({ db }, { me, directId }) => {
      const { room, mine } = await showRoom(db, me, directId);
      assert.ok(mine !== null);
      return { ...mine, last_seq: room.last_seq };
    },
  },
  "a direct room that is opened again": {
    in: "directId",
    look: async (deps, { me, peer }) => {
      const { myRoom } = await openDirect(deps, me, peer.id);
      return { ...myRoom, last_seq: myRoom.room.last_seq };
    },
  },
  "a page of messages": {
    in: "roomId",
    look: async ({ db }, { me, roomId }) => {
      const { last_seq, last_read_seq, items } = await listMessages(db, me, { roomId });
      assert.ok(last_read_seq !== null);
      assert.equal(items.at(-1)?.seq, last_seq);
      return { last_seq, last_read_seq, unread: last_seq - last_read_seq };
    },
  },
  "one's rooms": {
    in: "roomId",
    look: async (deps, { me, roomId }) => {
      const { rooms } = await listMyRooms(deps, me, {});
      const mine = rooms.find(({ room }) => room.id === roomId);
      assert.ok(mine !== undefined);
      return { ...mine, last_seq: mine.room.last_seq };
    },
  },
};

for (const [what, { in: where, look }] of Object.entries(looks)) {
  test(`what one is told of ${what} is of one moment, whatever message of one's own comes between`, async () => {
    for (let at = 1, statements = 1; at <= statements; at++) {
      const scene = await openScene();
      const { deps, seen } = interrupted(() => chat.say(scene.me, scene[where], "the second"), at);
      const { last_seq, last_read_seq, unread } = await look(deps, scene);
      assert.deepEqual([unread, last_read_seq], [0, last_seq], `after statement ${at}`);
      assert.ok(at <= seen.statements, "the message came while one looked");
      statements = seen.statements;
    }
  });
}

test("a read mark that a message of one's own has passed meanwhile is told with the room as it is then", async () => {
  const { me, peer, roomId } = await openScene();
  await chat.say(peer, roomId, "the second");
  const { deps } = interrupted(() => chat.say(me, roomId, "the third"), 1);
  assert.deepEqual(await markRead(deps, me, { roomId, seq: 2 }), {
    room_id: roomId,
    last_read_seq: 3,
    unread: 0,
  });
});
