import { settlesWithin } from "../../src/embedded/settles-within.ts";
import { Connection, type Sender } from "./connection.ts";
import {
  inconsistencies,
  loggedMessages,
  spotCheck,
  storedMessages,
  untilDrained,
  withDatabase,
} from "./database.ts";
import { type Findings, compare } from "./findings.ts";
import { Ledger } from "./ledger.ts";
import { Prng } from "./prng.ts";
import { postmastersOf, untilNoneLeft } from "./processes.ts";
import { type Account, type Played, ledgerLines, roundLine, timeLines } from "./report.ts";
import { send } from "./request.ts";
import { planRounds, readyLimitMs, runRound } from "./rounds.ts";
import type { Server } from "./server.ts";
import type { Opened, Stage } from "./stage.ts";
import type { Trial } from "./trial.ts";

const connections = 20;
const contacts = 120;
/** Consumers of a server that was killed may have to wait for its leases to end. */
const drainLimitMs = 20_000;
const stopLimitMs = 10_000;
/** A server that hangs in its end is killed after this. */
const stopPatienceMs = 20_000;
const finishLimitMs = 15_000;

type Scene = Opened & { readonly senders: readonly Sender[] };

/** One run: a server in a directory of its own, clients, kills, and the account at the end. */
export class Chaos {
  readonly #rounds: { readonly server: number; readonly postgres: number };
  readonly #prng: Prng;
  readonly #ledger = new Ledger();
  readonly #account: Account;
  readonly #stop: AbortController;
  readonly #giveUp: AbortController;
  readonly #stage: Stage;

  constructor(
    trial: Trial,
    options: {
      readonly seed: number;
      readonly rounds: { readonly server: number; readonly postgres: number };
    },
  ) {
    ({ account: this.#account, stop: this.#stop, giveUp: this.#giveUp, stage: this.#stage } = trial);
    this.#prng = new Prng(options.seed);
    this.#rounds = options.rounds;
  }

  /** What goes wrong stands in the trial's account. */
  async play(): Promise<void> {
    const startedMs = performance.now();
    const scene = await this.#open();
    const clients = this.#startClients(scene);
    const played = await this.#runRounds(scene);
    await this.#restartInGoodOrder(scene);
    this.#stop.abort();
    await settlesWithin(clients, finishLimitMs);
    this.#giveUp.abort();
    await clients;
    const found = await this.#finalChecks(scene);
    const orphans = await this.#stopForGood(scene);
    const seconds = (performance.now() - startedMs) / 1_000;
    const lines = ledgerLines({ ledger: this.#ledger, ...found, orphans, seconds });
    console.log([...lines, ...timeLines(played)].join("\n"));
  }

  async #open(): Promise<Scene> {
    const opened = await this.#stage.open();
    const { server, key } = opened;
    return {
      ...opened,
      senders: [await createSender(server, key, "api_key"), await createSender(server, key, "hub")],
    };
  }

  #connect({ server, senders }: Scene, number: number): Connection {
    const sender = senders[number % senders.length];
    if (sender === undefined) throw new Error("there is no source");
    return new Connection({
      number,
      sender,
      contacts: Array.from({ length: contacts }, (_, i) => i.toString(16).padStart(32, "c")),
      port: server.port,
      ledger: this.#ledger,
      prng: this.#prng.fork(),
    });
  }

  #startClients(scene: Scene): Promise<unknown> {
    const clients = Array.from({ length: connections }, (_, number) => this.#connect(scene, number));
    return Promise.all(clients.map((client) => client.run(this.#stop.signal, this.#giveUp.signal)));
  }

  async #runRounds(scene: Scene): Promise<readonly Played[]> {
    const played: Played[] = [];
    const prober = this.#connect(scene, connections);
    const probe = (): Promise<void> => prober.deliver(this.#giveUp.signal);
    const plan = planRounds(this.#rounds, this.#prng.fork());
    for (const [i, round] of plan.entries()) {
      const result = await runRound(round, { server: scene.server, ledger: this.#ledger, probe });
      const name = `round ${i + 1} (${round.victim})`;
      const { checked, drainedMs } = await this.#checkRound(scene, name);
      played.push({ round, result, drainedMs });
      const readyMs = Math.round(result.readyMs ?? Infinity);
      this.#account.require(readyMs <= readyLimitMs, `${name}: ready after ${readyMs} ms`);
      console.log(roundLine(i + 1, { round, result, drainedMs }, `${checked} acknowledged messages checked`));
      // What has gone wrong once explains nothing further that goes wrong after it.
      if (this.#account.broken.length > 20) break;
    }
    return played;
  }

  /** What can be known while traffic goes on: all that was acknowledged before this moment. */
  async #checkRound(
    { server }: Scene,
    name: string,
  ): Promise<{ readonly checked: number; readonly drainedMs: number | undefined }> {
    const account = this.#account;
    const messages = this.#ledger.takeUnchecked();
    return withDatabase(server.dataDir, async (db) => {
      const drainedMs = await untilDrained(db, drainLimitMs);
      account.require(drainedMs !== undefined, `${name}: consumers lag after ${drainLimitMs} ms`);
      const missing = await spotCheck(db, messages);
      account.require(missing.log === 0, `${name}: ${missing.log} acknowledged messages not once in the log`);
      account.require(
        missing.inbox === 0,
        `${name}: ${missing.inbox} acknowledged messages not in the inbox`,
      );
      const postmasters = postmastersOf(server.dataDir).length;
      account.require(postmasters === 1, `${name}: ${postmasters} postmasters run`);
      for (const end of server.unwantedEnds.splice(0)) account.require(false, `${name}: server ${end}`);
      return { checked: messages.length, drainedMs };
    });
  }

  /** SIGTERM under traffic: what is acknowledged on the way out must be there like anything else. */
  async #restartInGoodOrder({ server }: Scene): Promise<void> {
    await this.#terminate(server, "under traffic");
    server.start();
    this.#account.require(await server.untilReady(readyLimitMs), "not ready after the orderly restart");
  }

  async #terminate(server: Server, when: string): Promise<void> {
    const { code, ms } = await server.terminate(stopPatienceMs);
    console.log(`SIGTERM ${when}: code ${code} after ${Math.round(ms)} ms`);
    this.#account.require(code === 0, `SIGTERM ${when}: exit code ${code}`);
    this.#account.require(ms <= stopLimitMs, `SIGTERM ${when}: took ${Math.round(ms)} ms`);
  }

  async #finalChecks({ server }: Scene): Promise<{ stored: number; inbox: Findings; log: Findings }> {
    const account = this.#account;
    const { messages, acknowledged, faults } = this.#ledger;
    account.require(
      acknowledged === messages.length,
      `${messages.length - acknowledged} messages were not acknowledged within ${finishLimitMs} ms after the last kill`,
    );
    for (const fault of faults.slice(0, 10)) account.require(false, fault);
    return withDatabase(server.dataDir, async (db) => {
      const drainedMs = await untilDrained(db, drainLimitMs);
      account.require(drainedMs !== undefined, `consumers lag ${drainLimitMs} ms after the last message`);
      const stored = await storedMessages(db);
      const inbox = compare(messages, stored);
      const log = compare(messages, await loggedMessages(db));
      account.requireNone("inbox", inbox);
      account.requireNone("log", log);
      for (const [what, count] of Object.entries(await inconsistencies(db))) {
        account.require(count === 0, `${count} ${what}`);
      }
      return { stored: stored.length, inbox, log };
    });
  }

  async #stopForGood({ server, dir }: Scene): Promise<number> {
    await this.#terminate(server, "at rest");
    const orphans = await untilNoneLeft(dir, 1_000);
    for (const { pid, args } of orphans) this.#account.require(false, `process ${pid} is left: ${args}`);
    return orphans.length;
  }
}

async function createSender(server: Server, key: string, scheme: Sender["scheme"]): Promise<Sender> {
  const name = `chaos-${scheme}`.replace("_", "-");
  const { status, body } = await send({
    port: server.port,
    method: "POST",
    path: "/api/v1/sources",
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ name, scheme }),
    timeoutMs: 5_000,
  });
  if (status !== 201) throw new Error(`the source was not created: ${status} ${body}`);
  return { source: name, scheme, secret: (JSON.parse(body) as { secret: string }).secret };
}
