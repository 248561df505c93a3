import { readFile } from "node:fs/promises";
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { settlesWithin } from "../../../src/embedded/settles-within.ts";
import { pause } from "../../../src/lib/backoff.ts";
import { withDatabase } from "../database.ts";
import { Prng } from "../prng.ts";
import { untilNoneLeft } from "../processes.ts";
import type { Account } from "../report.ts";
import { type Round, runRound } from "../rounds.ts";
import type { Opened, Stage } from "../stage.ts";
import type { Trial } from "../trial.ts";
import { audit, requireNone } from "./audit.ts";
import { type Bounds, boundsFor } from "./bounds.ts";
import { addPeople, miscounts } from "./database.ts";
import { Ledger } from "./ledger.ts";
import { Notifier } from "./notifier.ts";
import { type Person, makePeople } from "./people.ts";
import { ledgerLines } from "./report.ts";
import { Wishes } from "./wishes.ts";

const finishLimitMs = 30_000;
const stopPatienceMs = 20_000;
const againShare = 0.25;
const againAfterMs = { server: 700, postgres: 120 } as const;
const brokenMax = 20;
/** Devices come one after the other at the start. */
const arrivalsPerS = 200;

type Scene = Opened & { readonly people: readonly Person[] };

/** One run: people with two devices each, programs that tell them things, kills, and the account at the end. */
export class NotificationsChaos {
  readonly #prng: Prng;
  readonly #seconds: number;
  readonly #people: number;
  readonly #bounds: Bounds;
  readonly #ledger = new Ledger();
  readonly #account: Account;
  readonly #stop: AbortController;
  readonly #giveUp: AbortController;
  readonly #stage: Stage;
  #kills = 0;
  #looks = 0;

  constructor(
    trial: Trial,
    options: { readonly seed: number; readonly seconds: number; readonly people: number },
  ) {
    ({ account: this.#account, stop: this.#stop, giveUp: this.#giveUp, stage: this.#stage } = trial);
    this.#prng = new Prng(options.seed);
    this.#seconds = options.seconds;
    this.#people = options.people;
    this.#bounds = boundsFor(options.people);
  }

  /** What goes wrong stands in the trial's account. */
  async play(): Promise<void> {
    const startedMs = performance.now();
    const busy = monitorEventLoopDelay();
    busy.enable();
    try {
      const scene = await this.#open();
      const clients = this.#start(scene);
      await this.#runRounds(scene, performance.now() + this.#seconds * 1_000);
      this.#stop.abort();
      const ended = await settlesWithin(clients, finishLimitMs);
      this.#account.require(ended, "clients do not come to an end");
      this.#giveUp.abort();
      const { server, people } = scene;
      const { port, dataDir } = server;
      const [ledger, bounds, account] = [this.#ledger, this.#bounds, this.#account];
      await audit({ port, dataDir, people, ledger, bounds, account });
      await Promise.all(people.flatMap(({ seed, sdk }) => [seed.close(), sdk.close()]));
      await this.#stopForGood(scene);
    } finally {
      busy.disable();
      this.#report((performance.now() - startedMs) / 1_000, busy.max / 1e6);
    }
  }

  async #open(): Promise<Scene> {
    const opened = await this.#stage.open();
    const { port, dataDir } = opened.server;
    const secret = (await readFile(path.join(dataDir, "jwt-secret"), "utf8")).trim();
    const rows = await withDatabase(dataDir, (db) => addPeople(db, this.#people));
    const [ledger, bounds, prng] = [this.#ledger, this.#bounds, this.#prng.fork()];
    return { ...opened, people: makePeople(rows, { port, secret, ledger, bounds, prng }) };
  }

  #start(scene: Scene): Promise<unknown> {
    const { people } = scene;
    const { port } = scene.server;
    const [stop, giveUp] = [this.#stop.signal, this.#giveUp.signal];
    const [ledger, prng] = [this.#ledger, this.#prng.fork()];
    const wishers = people.filter(({ wants }) => wants !== undefined);
    const notifiers = Array.from({ length: this.#bounds.notifiers }, (_, n) => this.#notifier(scene, n));
    return Promise.all([
      ...people.map(async ({ seed, sdk }, i) => {
        await pause((i * 2_000) / arrivalsPerS, stop);
        await Promise.all([seed.run(stop), sdk.run(stop)]);
      }),
      ...wishers.map((person) => new Wishes(person, { port, ledger, prng: prng.fork() }).run(stop, giveUp)),
      ...notifiers.map((notifier) => notifier.run(stop, giveUp)),
      this.#notifier(scene, this.#bounds.notifiers).runBroadcasts(stop, giveUp),
      this.#watch(people),
    ]);
  }

  #notifier({ server, key, people }: Scene, number: number): Notifier {
    return new Notifier({
      number,
      port: server.port,
      apiKey: key,
      people: people.map(({ id }) => id),
      bounds: this.#bounds,
      ledger: this.#ledger,
      prng: this.#prng.fork(),
    });
  }

  async #runRounds(scene: Scene, untilMs: number): Promise<void> {
    const { server } = scene;
    const prng = this.#prng.fork();
    const prober = this.#notifier(scene, this.#bounds.notifiers + 1);
    const { trafficMs, heardWithinMs, lookEveryMs } = this.#bounds;
    while (performance.now() < untilMs && this.#faultCount() < brokenMax) {
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
      this.#account.require(ready <= this.#bounds.readyWithinMs, `${name}: ready after ${ready} ms`);
      for (const end of server.unwantedEnds.splice(0)) this.#account.require(false, `${name}: server ${end}`);
      await requireNone(this.#account, name, () => withDatabase(server.dataDir, miscounts));
      const { accepted, connections } = this.#ledger.counts;
      console.log(
        `${victim.padEnd(8)} killed ${kills} x, ready in ${ready} ms, ${accepted} requests and ${connections} connections so far`,
      );
    }
    await pause(heardWithinMs + 2 * lookEveryMs);
  }

  #faultCount(): number {
    return this.#account.broken.length + this.#ledger.faults.length;
  }

  /** Looks again and again whether devices that are connected show what they must. */
  async #watch(people: readonly Person[]): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await pause(this.#bounds.lookEveryMs, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      for (const device of people.flatMap(({ seed, sdk }) => [seed, sdk])) {
        this.#looks++;
        for (const sentence of device.overdue())
          this.#account.require(false, `after ${this.#bounds.heardWithinMs} ms ${sentence}`);
      }
    }
  }

  async #stopForGood({ server, dir }: Scene): Promise<void> {
    const { code } = await server.terminate(stopPatienceMs);
    this.#account.require(code === 0, `SIGTERM at rest: exit code ${code}`);
    for (const { pid, args } of await untilNoneLeft(dir, 1_000))
      this.#account.require(false, `process ${pid} is left: ${args}`);
  }

  #report(seconds: number, busyMs: number): void {
    const [ledger, people, kills, looks] = [this.#ledger, this.#people, this.#kills, this.#looks];
    for (const fault of ledger.faults.slice(0, brokenMax)) this.#account.require(false, fault);
    console.log(ledgerLines({ ledger, people, kills, looks, seconds, busyMs }).join("\n"));
  }
}
