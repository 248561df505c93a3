import { type ClientFrame, clientFrames } from "../../protocol/frames.ts";
import { AppError } from "../lib/errors.ts";
import { type Check, createCheck } from "../schema/check.ts";
import { sentenceOf } from "../schema/faults.ts";

/** A frame as far as it could be understood: its id serves the answer even where the rest is wrong. */
export type Incoming =
  | { readonly kind: "frame"; readonly frame: ClientFrame }
  /** An object without a `type`, or with one of a seed's: one of their forms, perhaps. */
  | { readonly kind: "plain"; readonly frame: Readonly<Record<string, unknown>> }
  | { readonly kind: "bad"; readonly id: number | undefined; readonly error: AppError };

const checks: ReadonlyMap<string, Check> = new Map(
  Object.entries(clientFrames).map(([type, schema]): [string, Check] => [type, createCheck(schema)]),
);

/** Reads the text of a message; `isPlain` knows the seeds' forms. Never throws. */
export function readFrame(
  text: string,
  isPlain: (frame: Readonly<Record<string, unknown>>) => boolean = () => false,
): Incoming {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "bad", id: undefined, error: new AppError("invalid_json") };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return bad(undefined, "a frame is a JSON object");
  }
  const object = value as Readonly<Record<string, unknown>>;
  const { type } = object;
  if (type === undefined) return { kind: "plain", frame: object };
  const id = idOf(object);
  const check = typeof type === "string" ? checks.get(type) : undefined;
  if (check === undefined && isPlain(object)) return { kind: "plain", frame: object };
  if (check === undefined) return bad(id, `type must be one of ${[...checks.keys()].join(", ")}`);
  const fields = check(object);
  if (fields === undefined) return { kind: "frame", frame: object as unknown as ClientFrame };
  const [first] = fields;
  const detail = first === undefined ? "does not fit the schema" : sentenceOf(first, "the frame");
  return { kind: "bad", id, error: new AppError("invalid_body", { detail, fields }) };
}

function bad(id: number | undefined, detail: string): Incoming {
  return { kind: "bad", id, error: new AppError("invalid_body", { detail }) };
}

function idOf({ id }: Readonly<Record<string, unknown>>): number | undefined {
  return typeof id === "number" && Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}
