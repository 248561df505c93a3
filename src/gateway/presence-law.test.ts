import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { Presence, leaveAfterMs, roundMs, stepEveryMs } from "./presence.ts";
import { believeMs } from "./presence-people.ts";
import { type Signal, type Signals, createLocalSignals } from "./signals.ts";

const places = 3;
const crowds = 6;
/** People come and go in crowds, each of which is more than a list holds. */
const crowdOf = (crowd: number): readonly number[] =>
  Array.from({ length: 600 }, (_, i) => crowd * 1e12 + 7 * i);

type Step =
  | { readonly kind: "arrive" | "leave"; readonly place: number; readonly crowd: number }
  | { readonly kind: "restart" | "crash" | "cut" | "mend"; readonly place: number }
  | { readonly kind: "pass"; readonly ms: number };

const place = fc.nat({ max: places - 1 });
const crowd = fc.integer({ min: 1, max: crowds });
/** Some of all parts of a crowd. */
const someOf = (crowd: number): readonly number[] => crowdOf(crowd).filter((_, i) => i % 37 === 0);
const goodOrder = [
  fc.record({ kind: fc.constantFrom("arrive" as const, "leave" as const), place, crowd }),
  fc.record({ kind: fc.constant("restart" as const), place }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(50, 300, 1_000, 6_000, 30_000) }),
];
const badOrder = [
  ...goodOrder,
  fc.record({ kind: fc.constantFrom("crash" as const, "cut" as const, "mend" as const), place }),
];

/** Gateways that come and go, whose connection to the others may be cut, beside a plain record of who is where. */
class World {
  readonly #t: TestContext;
  readonly #bus = createLocalSignals();
  readonly #gateways: { gateway: Presence; line: Line; here: Set<number>; heard: Map<string, boolean> }[];
  #started = 0;

  constructor(t: TestContext) {
    this.#t = t;
    this.#gateways = Array.from({ length: places }, () => this.#start());
  }

  do(step: Step): void {
    if (step.kind === "pass") return this.pass(step.ms);
    const at = this.#gateways[step.place];
    if (at === undefined) return;
    if (step.kind === "arrive") {
      for (const userId of crowdOf(step.crowd)) at.gateway.arrived(userId);
      at.here.add(step.crowd);
    } else if (step.kind === "leave") {
      for (const userId of crowdOf(step.crowd)) at.gateway.left(userId);
      at.here.delete(step.crowd);
    } else if (step.kind === "cut" || step.kind === "mend") at.line.cut = step.kind === "cut";
    else {
      // One that crashes says nothing.
      if (step.kind === "crash") at.line.cut = true;
      at.gateway.stop();
      this.#gateways[step.place] = this.#start();
    }
  }

  mend(): void {
    for (const { line } of this.#gateways) line.cut = false;
  }

  /** Small steps: a mocked timer that begins within a step ends after it. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 50) this.#t.mock.timers.tick(50);
  }

  /** All gateways say of everybody what is true, and so does what they told their readers. */
  check(): void {
    const truth = new Set(this.#gateways.flatMap(({ here }) => [...here]));
    for (const [index, { gateway, heard }] of this.#gateways.entries()) {
      for (let crowd = 1; crowd <= crowds; crowd++) {
        for (const id of someOf(crowd)) {
          const online = truth.has(crowd);
          if (gateway.isOnline(id) !== online) assert.fail(`${id} at gateway ${index}: not ${online}`);
          if ((heard.get(`presence/${id}`) ?? false) !== online)
            assert.fail(`readers of ${id} at gateway ${index} were not told ${online}`);
        }
      }
    }
  }

  stop(): void {
    for (const { gateway } of this.#gateways) gateway.stop();
  }

  #start() {
    const line = new Line(this.#bus);
    const heard = new Map<string, boolean>();
    const post = ({ topic, data }: Signal): void => {
      const { online } = data as { online: boolean };
      if ((heard.get(topic) ?? false) === online) assert.fail(`${topic} is told though nothing changed`);
      heard.set(topic, online);
    };
    const gateway = new Presence({ node: `n${this.#started++}`, signals: line, post, now: () => Date.now() });
    return { gateway, line, here: new Set<number>(), heard };
  }
}

/** What connects one gateway to the others. */
class Line implements Signals {
  cut = false;
  readonly #bus: Signals;

  constructor(bus: Signals) {
    this.#bus = bus;
  }

  send(signal: Signal): void {
    // As JSON: that is what others get.
    if (!this.cut) this.#bus.send(JSON.parse(JSON.stringify(signal)) as Signal);
  }

  onSignal(listener: (signal: Signal) => void): () => void {
    return this.#bus.onSignal((signal) => {
      if (!this.cut) listener(signal);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function holds(
  t: TestContext,
  numRuns: number,
  steps: fc.Arbitrary<Step>,
  settle: (world: World) => void,
): void {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 40, size: "max" }), (all) => {
      t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
      const world = new World(t);
      try {
        for (const step of all) world.do(step);
        settle(world);
        world.check();
      } finally {
        world.stop();
        t.mock.timers.reset();
      }
    }),
    { numRuns },
  );
}

test("whoever comes, goes and restarts: two seconds after the grace all agree with the truth, and all the round", (t) => {
  holds(t, 40, fc.oneof(...goodOrder), (world) => {
    world.pass(leaveAfterMs + 2_000);
    for (let passed = 0; passed < roundMs; passed += stepEveryMs) {
      world.check();
      world.pass(stepEveryMs);
    }
  });
});

test("whatever is lost and whoever crashes: when the dead are forgotten, a round later all agree with the truth", (t) => {
  holds(t, 100, fc.oneof(...badOrder), (world) => {
    world.mend();
    world.pass(believeMs + roundMs + 5_000);
  });
});
