import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { createAccessTokens } from "../../../src/access/access-tokens.ts";
import { settlesWithin } from "../../../src/embedded/settles-within.ts";
import { pause } from "../../../src/lib/backoff.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { withDatabase } from "../database.ts";
import { Prng } from "../prng.ts";
import { endAll, untilNoneLeft } from "../processes.ts";
import { Account } from "../report.ts";
import { send } from "../request.ts";
import { type Round, readyLimitMs, runRound } from "../rounds.ts";
import { Server, freePort } from "../server.ts";
import { addPeople, falseStates, miscounts, recount } from "./database.ts";
import { Device, heardWithinMs } from "./device.ts";
import { Ledger } from "./ledger.ts";
import { Notifier } from "./notifier.ts";

const peopleCount = 40;
const devicesEach = 2;
const notifiers = 6;
const firstStartLimitMs = 60_000;
const finishLimitMs = 15_000;
const stopPatienceMs = 20_000;
const lookEveryMs = 250;
/** Traffic between two kills: long enough that devices must have heard what waits for them. */
const trafficMs = { min: 2_500, max: 6_500 } as const;
const againShare = 0.25;
const againAfterMs = { server: 700, postgres: 120 } as const;
const brokenMax = 20;

type Person = {
  readonly id: number;
  readonly token: () => Promise<string>;
  readonly devices: Device[];
};
type Stage = {
  readonly dir: string;
  readonly server: Server;
  readonly key: string;
  readonly people: readonly Person[];
};

/** One run: people with two devices each, programs that tell them things, kills, and the account at the end. */
export class NotificationsChaos {
  readonly #prng: Prng;
  readonly #seconds: number;
  readonly #ledger = new Ledger();
  readonly #account = new Account();
  readonly #stop = new AbortController();
  readonly #giveUp = new AbortController();
  #dir: string | undefined;
  #server: Server | undefined;
  #kills = 0;
  #checks = 0;

  constructor(options: { readonly seed: number; readonly seconds: number }) {
    this.#prng = new Prng(options.seed);
    this.#seconds = options.seconds;
  }

  /** Whether every invariant held. */
  async run(): Promise<boolean> {
    const startedMs = performance.now();
    try {
      const stage = await this.#open();
      const devices = stage.people.flatMap((person) => person.devices);
      const clients = Promise.all([
        ...devices.map((device) => device.run(this.#stop.signal)),
        ...Array.from({ length: notifiers }, (_, number) =>
          this.#notifier(stage, number).run(this.#stop.signal, this.#giveUp.signal),
        ),
        this.#watch(devices),
      ]);
      await this.#runRounds(stage, startedMs + this.#seconds * 1_000);
      this.#stop.abort();
      this.#account.require(await settlesWithin(clients, finishLimitMs), "clients do not come to an end");
      this.#giveUp.abort();
      await Promise.all(devices.map((device) => device.disconnect(false)));
      await this.#audit(stage);
      await this.#stopForGood(stage);
    } catch (error) {
      this.#account.broken.push(
        `the run itself failed: ${error instanceof Error ? error.stack : String(error)}`,
      );
    } finally {
      this.#report((performance.now() - startedMs) / 1_000);
      await this.tidyUp();
    }
    return this.#account.broken.length === 0;
  }

  /** Ends everything that the run has started and removes what that wrote. */
  async tidyUp(): Promise<void> {
    this.#stop.abort();
    this.#giveUp.abort();
    await this.#server?.retire();
    if (this.#dir === undefined) return;
    await endAll(this.#dir);
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #open(): Promise<Stage> {
    const dir = await mkdtemp(path.join(os.tmpdir(), "tidings-chaos-"));
    this.#dir = dir;
    // Started by root, PostgreSQL runs as another user, who must get through here.
    await chmod(dir, 0o755);
    const dataDir = path.join(dir, "data");
    const server = new Server({ dataDir, port: await freePort(), logFile: path.join(dir, "server.log") });
    this.#server = server;
    server.start();
    if (!(await server.untilReady(firstStartLimitMs))) throw new Error("the first start did not succeed");
    const key = (await readFile(path.join(dataDir, "development-key"), "utf8")).trim();
    const secret = (await readFile(path.join(dataDir, "jwt-secret"), "utf8")).trim();
    const tokens = createAccessTokens(secret, systemClock);
    const rows = await withDatabase(dataDir, (db) => addPeople(db, peopleCount));
    const people = rows.map(({ id, username }): Person => {
      const token = (): Promise<string> => tokens.issue({ id, username, role: "user" }, randomUUID());
      const devices: Device[] = [];
      for (let i = 0; i < devicesEach; i++) devices.push(this.#device({ id, token, devices }, server));
      return { id, token, devices };
    });
    return { dir, server, key, people };
  }

  #device({ id, token, devices }: Person, { port }: Server): Device {
    return new Device({ port, userId: id, token, devices, ledger: this.#ledger, prng: this.#prng.fork() });
  }

  #notifier({ server, key, people }: Stage, number: number): Notifier {
    return new Notifier({
      number,
      port: server.port,
      apiKey: key,
      people: people.map(({ id }) => id),
      ledger: this.#ledger,
      prng: this.#prng.fork(),
    });
  }

  async #runRounds(stage: Stage, untilMs: number): Promise<void> {
    const { server } = stage;
    const prng = this.#prng.fork();
    const prober = this.#notifier(stage, notifiers);
    while (performance.now() < untilMs && this.#account.broken.length < brokenMax) {
      const victim = prng.chance(0.5) ? "server" : "postgres";
      const round: Round = {
        victim,
        againAfterMs: prng.chance(againShare) ? prng.between(0, againAfterMs[victim]) : undefined,
        trafficMs: prng.between(trafficMs.min, trafficMs.max),
      };
      await pause(round.trafficMs);
      // Nothing is due on devices from here on until everything is back.
      this.#ledger.disturbedMs = Infinity;
      const { readyMs, kills } = await runRound(
        { ...round, trafficMs: 0 },
        { server, ledger: this.#ledger, probe: () => prober.deliver(this.#giveUp.signal) },
      );
      this.#ledger.disturbedMs = performance.now();
      this.#kills += kills;
      const name = `round of ${victim} after ${round.trafficMs} ms`;
      const ready = Math.round(readyMs ?? Infinity);
      this.#account.require(ready <= readyLimitMs, `${name}: ready after ${ready} ms`);
      for (const end of server.unwantedEnds.splice(0)) this.#account.require(false, `${name}: server ${end}`);
      await this.#requireNone(name, () => withDatabase(server.dataDir, miscounts));
      console.log(
        `${victim.padEnd(8)} killed ${kills} x, ready in ${ready} ms, ${this.#ledger.told.size} told so far`,
      );
    }
    await pause(heardWithinMs + lookEveryMs);
  }

  /** Looks again and again whether devices that are connected have heard what they must. */
  async #watch(devices: readonly Device[]): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await pause(lookEveryMs, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      for (const device of devices) {
        const [first] = device.overdue();
        this.#checks++;
        this.#account.require(
          first === undefined,
          `an open connection was not told ${first} in ${heardWithinMs} ms`,
        );
      }
    }
  }

  /** A new connection of everybody hears all that is unread and nothing that is read; counts are what is there. */
  async #audit({ server, people }: Stage): Promise<void> {
    const told = [...this.#ledger.told.values()];
    // What is brief has ended when nothing of it is in sight.
    await pause(heardWithinMs);
    const counts = await withDatabase(server.dataDir, recount);
    await Promise.all(people.map((person) => this.#auditPerson(server, person, counts.get(person.id) ?? 0)));
    await this.#requireNone("at the end", () => withDatabase(server.dataDir, miscounts));
    await this.#requireNone("at the end", () => withDatabase(server.dataDir, (db) => falseStates(db, told)));
  }

  async #auditPerson(server: Server, { id: userId, token }: Person, counted: number): Promise<void> {
    const { port } = server;
    const due = (this.#ledger.byPerson.get(userId) ?? []).filter((one) => one.lasting && !one.readSent);
    const device = new Device({ port, userId, token, devices: [], ledger: this.#ledger, prng: new Prng(0) });
    this.#account.require((await device.connect()) !== undefined, `${userId} is not let in at the end`);
    const deadline = performance.now() + heardWithinMs;
    while (device.heard.size < counted && performance.now() < deadline) await pause(20);
    const missing = due.filter(({ id }) => !device.heard.has(id));
    this.#account.require(
      missing.length === 0,
      `${userId} is not told ${missing.length}, such as ${missing[0]?.id}`,
    );
    const { status, body } = await send({
      port,
      path: "/api/v1/notifications/unread",
      headers: { authorization: `Bearer ${await token()}` },
      timeoutMs: 5_000,
    });
    const { unread } = JSON.parse(body) as { unread?: number };
    this.#account.require(
      status === 200 && unread === counted && device.heard.size === counted,
      `${userId} has ${counted} unread, is said to have ${unread}, and hears ${device.heard.size}`,
    );
    await device.disconnect(false);
  }

  async #requireNone(when: string, look: () => Promise<Readonly<Record<string, number>>>): Promise<void> {
    for (const [what, count] of Object.entries(await look()))
      this.#account.require(count === 0, `${when}: ${count} ${what}`);
  }

  async #stopForGood({ server, dir }: Stage): Promise<void> {
    const { code } = await server.terminate(stopPatienceMs);
    this.#account.require(code === 0, `SIGTERM at rest: exit code ${code}`);
    for (const { pid, args } of await untilNoneLeft(dir, 1_000))
      this.#account.require(false, `process ${pid} is left: ${args}`);
  }

  #report(seconds: number): void {
    const { told, counts, faults } = this.#ledger;
    for (const fault of faults.slice(0, brokenMax)) this.#account.require(false, fault);
    const all = [...told.values()];
    const rows: readonly (readonly [string, string | number])[] = [
      ["kills", this.#kills],
      [
        "requests",
        `${counts.requests}: ${counts.accepted} accepted, ${counts.refused} refused, ${counts.unknown} unanswered`,
      ],
      ["told", `${all.length}, ${all.filter(({ lasting }) => !lasting).length} of them brief`],
      ["connections", `${counts.connections}, looked at ${this.#checks} times`],
      ["pushes", counts.pushed],
      [
        "reads",
        `${counts.reads} said, ${counts.acked} acknowledgements, ${all.filter(({ ackedMs }) => ackedMs).length} read`,
      ],
      ["faults", faults.length],
      ["seconds", Math.round(seconds)],
    ];
    console.log(rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`).join("\n"));
    const { broken } = this.#account;
    if (broken.length === 0) return console.log("every invariant held");
    console.log(
      `BROKEN:\n${broken
        .slice(0, brokenMax)
        .map((sentence) => `  - ${sentence}`)
        .join("\n")}`,
    );
    if (this.#server !== undefined) console.log(`the server's last lines:\n${this.#server.logTail(40)}`);
  }
}
