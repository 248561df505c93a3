import type { SinkProgram } from "../sink/sink.ts";
import { type DeliveryLoad, type Side, measureDelivery } from "./delivery.ts";

/** What must arrive of what was offered, and how late at most, for a rate to count as sustained. */
const arrivingShare = 0.97;
const lateMs = 1_000;
/** Messages that may fall on the other side of the measured time's edges. */
const edgeMessages = 2;
/** A machine that does something else for a moment must not count against a peer. */
const attempts = 2;
const stepsMax = 16;

/** The highest rate at which a side still delivers what it is offered, going up in steps, each `growth` times the last. */
export async function highestSustained(
  program: SinkProgram,
  side: Side,
  load: Omit<DeliveryLoad, "perSecond"> & { readonly growth: number },
  from: number,
): Promise<number> {
  let sustained = from;
  for (let step = 0, perSecond = from; step < stepsMax; step++, perSecond *= load.growth) {
    if (!(await isSustained(program, side, { ...load, perSecond }))) break;
    sustained = perSecond;
  }
  return sustained;
}

async function isSustained(program: SinkProgram, side: Side, load: DeliveryLoad): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { messages, offered, p99 } = await measureDelivery(program, side, { ...load, mayLose: true });
    const enough = offered * arrivingShare - edgeMessages * load.readers;
    if (messages >= enough && p99 <= lateMs) return true;
  }
  return false;
}
