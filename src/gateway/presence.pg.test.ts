import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createTestDatabase, eventually, testLog } from "../../test/harness.ts";
import type { DbAddress } from "../lib/db.ts";
import { Presence, roundMs, stepEveryMs } from "./presence.ts";
import { believeMs } from "./presence-people.ts";
import { createPostgresSignals } from "./signals-postgres.ts";
import type { Signal } from "./signals.ts";

/** As many as a gateway is to hold, with ids as wide as those of a large installation. */
const people = Array.from({ length: 20_000 }, (_, i) => 1_000_000 + 37 * i);
const marker = (key: string): Signal => ({ topic: "room/1", name: "typing", key, data: true });

/** A process with signals and a gateway, whose clock is moved by hand. */
function start(t: TestContext, address: DbAddress, clock: { ms: number }) {
  const node = crypto.randomUUID();
  const signals = createPostgresSignals(address, { log: testLog, node });
  const markers = new Set<string>();
  signals.onSignal(({ name, key }) => name === "typing" && markers.add(key));
  let offline = 0;
  const post = ({ data }: Signal): void => {
    if (!(data as { online: boolean }).online) offline++;
  };
  const presence = new Presence({ node, signals, post, now: () => clock.ms });
  let closing: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    if (closing === undefined) presence.stop();
    closing ??= signals.close();
    return closing;
  };
  t.after(stop);
  return {
    presence,
    signals,
    stop,
    hears: (key: string): boolean => markers.has(key),
    offline: (): number => offline,
    online: (): number => people.filter((id) => presence.isOnline(id)).length,
  };
}

test("20,000 people of a gateway are known to one that starts later, stay so for rounds, and leave with it", async (t) => {
  const address = await createTestDatabase(t);
  const clock = { ms: 0 };
  const a = start(t, address, clock);
  for (const id of people) a.presence.arrived(id);
  const b = start(t, address, clock);
  let asked = 0;
  await eventually("the two hear each other", () => {
    a.signals.send(marker("first"));
    b.signals.send(marker("back"));
    if (a.hears("back") && b.hears("first")) return true;
    if (asked++ % 20 === 0) clock.ms += stepEveryMs;
    return false;
  });
  await eventually("the one that started knows everybody", () => b.online() === people.length, 5_000);

  // Time passes no faster than what was said in it is heard.
  for (let ms = 0; ms < 2 * believeMs + roundMs; ms += stepEveryMs) {
    clock.ms += stepEveryMs;
    a.presence.step();
    b.presence.step();
    if (ms % 5_000 !== 0) continue;
    a.signals.send(marker(String(ms)));
    b.signals.send(marker(`b${ms}`));
    await eventually("what was said is heard", () => b.hears(String(ms)) && a.hears(`b${ms}`));
  }
  assert.deepEqual([b.online(), b.offline()], [people.length, 0]);

  await a.stop();
  await eventually("its people have left with the gateway", () => b.online() === 0, 2_000);
  assert.equal(b.offline(), people.length);
});

test("20,000 people who come within a moment are known at the other gateway within seconds", async (t) => {
  const address = await createTestDatabase(t);
  const clock = { ms: 0 };
  const a = start(t, address, clock);
  const b = start(t, address, clock);
  await eventually("the two hear each other", () => {
    a.signals.send(marker("first"));
    b.signals.send(marker("back"));
    return a.hears("back") && b.hears("first");
  });
  for (const id of people) a.presence.arrived(id);
  await eventually("everybody is known", () => b.online() === people.length, 10_000);
  assert.equal(b.offline(), 0);
});
