import assert from "node:assert/strict";
import { test } from "node:test";
import type { SignedIn } from "../../protocol/accounts.ts";
import type { EntryFrame, ServerFrame, SubscribedFrame } from "../../protocol/frames.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { topics } from "../../protocol/topics.ts";
import { eventually } from "../harness.ts";
import { type TestSocket, greet } from "../socket.ts";
import { type Accounts, openAccounts } from "./accounts.ts";

/*
 * Somebody is removed from a room in the middle of everything: while messages are on their way to them and while they
 * write themselves. That a connection which subscribes in this very moment is told of no topic that it does not hear,
 * `src/gateway/subscribing.test.ts` holds, where the moment can be chosen: from out here it is hardly ever met.
 */

const rounds = 15;
const messagesBeside = 6;

type Scene = { readonly roomId: number; readonly topic: string };

async function newRoom(accounts: Accounts, owner: SignedIn, member: SignedIn): Promise<Scene> {
  const body = { kind: "private", name: "plans", member_ids: [member.user.id] };
  const room = await accounts.post("/api/v1/rooms", body, owner.access_token);
  assert.equal(room.status, 201, room.text);
  const { id } = JSON.parse(room.text) as { readonly id: number };
  return { roomId: id, topic: topics.room(id) };
}

async function say(accounts: Accounts, who: SignedIn, { roomId }: Scene, content: string): Promise<number> {
  const wish = { client_msg_id: uuidv7(), content };
  return (await accounts.post(`/api/v1/rooms/${roomId}/messages`, wish, who.access_token)).status;
}

async function remove(accounts: Accounts, by: SignedIn, who: SignedIn, { roomId }: Scene): Promise<void> {
  const path = `/api/v1/rooms/${roomId}/members/${who.user.id}`;
  assert.equal((await accounts.request("DELETE", path, { key: by.access_token })).status, 204);
}

let asked = 0;
async function subscribe(socket: TestSocket, ...names: readonly string[]): Promise<SubscribedFrame> {
  const id = ++asked;
  socket.send({ type: "subscribe", id, topics: names });
  return (await socket.answer(id)) as SubscribedFrame;
}

/** What has come about a topic, in its order. */
function about({ frames }: TestSocket, topic: string): readonly ServerFrame[] {
  return frames.filter((frame) => "topic" in frame && frame.topic === topic);
}

const entriesOf = (frames: readonly ServerFrame[]): readonly EntryFrame[] =>
  frames.filter((frame) => frame.type === "entry");
const idsOf = (frames: readonly ServerFrame[]): readonly string[] =>
  entriesOf(frames).map(({ entry }) => entry.id);
const isOf = (type: string, content: string) => (frame: ServerFrame) =>
  frame.type === "entry" &&
  frame.entry.type === type &&
  (frame.entry.data as { readonly message: { readonly content: string } }).message.content === content;

/** Everything that was on its way over the connection before has come. */
async function drained(socket: TestSocket): Promise<void> {
  const pongs = () => socket.frames.filter(({ type }) => type === "pong").length;
  const before = pongs();
  socket.send({ type: "ping" });
  await eventually("a pong", () => pongs() > before);
}

test("whoever is removed while messages are on their way hears everything up to the removal and nothing after it", async (t) => {
  const accounts = await openAccounts(t);
  const [ann, bob] = [await accounts.register(), await accounts.register()];
  const [watcher, live] = [
    await greet(accounts.url, ann.access_token),
    await greet(accounts.url, bob.access_token),
  ];
  let after = 0;
  for (let round = 0; round < rounds; round++) {
    const scene = await newRoom(accounts, ann, bob);
    const { topic } = scene;
    await subscribe(watcher, topic);
    await subscribe(live, topic);
    const says = Array.from({ length: messagesBeside }, (_, i) => say(accounts, ann, scene, `beside ${i}`));
    const own = say(accounts, bob, scene, "my own");
    const removed = remove(accounts, ann, bob, scene);
    const more = Array.from({ length: messagesBeside }, (_, i) => say(accounts, ann, scene, `later ${i}`));
    assert.deepEqual(new Set(await Promise.all([...says, ...more])), new Set([201]));
    await removed;
    // Either it was there before the removal, or there is no room any more for who writes it.
    assert.ok([201, 404].includes(await own));
    assert.equal(await say(accounts, bob, scene, "too late"), 404);
    await say(accounts, ann, scene, "the last word");
    await eventually("the last word", () =>
      about(watcher, topic).some(isOf("message.created", "the last word")),
    );
    await eventually("the end", () => about(live, topic).some(({ type }) => type === "removed"));
    await drained(live);

    const [all, heard] = [about(watcher, topic), about(live, topic)];
    const removal = entriesOf(all).findIndex(({ entry }) => entry.type === "member.removed");
    assert.deepEqual(idsOf(heard), idsOf(all).slice(0, removal + 1), `round ${round}`);
    assert.equal(heard.at(-1)?.type, "removed", "nothing comes after the end");
    after += idsOf(all).length - removal - 1;
  }
  assert.ok(after > rounds, "in some rounds a message was on its way when the removal came");
});
