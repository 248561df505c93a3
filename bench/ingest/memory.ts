import { residentMb } from "../harness/process-use.ts";
import { slopeOf } from "../harness/spread.ts";

const everyMs = 1_000;

export type MemoryTrend = {
  readonly startMb: number;
  readonly endMb: number;
  readonly slopeMbPerMin: number;
};

/** Watches the resident memory of a process while `work` runs. */
export async function watchMemory<T>(
  pid: number,
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly trend: MemoryTrend }> {
  const points: (readonly [minutes: number, megabytes: number])[] = [];
  const startedAt = performance.now();
  const sample = async (): Promise<void> => {
    const megabytes = await residentMb(pid);
    points.push([(performance.now() - startedAt) / 60_000, megabytes]);
  };
  await sample();
  const sampling = setInterval(() => void sample(), everyMs);
  try {
    const value = await work();
    clearInterval(sampling);
    await sample();
    const trend = {
      startMb: points[0]?.[1] ?? 0,
      endMb: points.at(-1)?.[1] ?? 0,
      slopeMbPerMin: slopeOf(points),
    };
    return { value, trend };
  } finally {
    clearInterval(sampling);
  }
}
