import { AppError, errorMessage } from "../lib/errors.ts";

const suspicious = /__proto__|constructor|\\u/;

/** JSON.parse that refuses keys with which a careless merge later would change every object of the process. */
export function parseSafely(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (suspicious.test(text) && poisons(value)) {
    throw new AppError("invalid_body", {
      detail: "the keys __proto__ and constructor.prototype are not allowed",
    });
  }
  return value;
}

/** Walks with a stack of its own: nesting is bounded only by the size of the body. */
function poisons(root: unknown): boolean {
  const stack: unknown[] = [root];
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value !== "object" || value === null) continue;
    if (Object.hasOwn(value, "__proto__")) return true;
    if (Object.hasOwn(value, "constructor")) {
      const { constructor } = value as { constructor: unknown };
      if (
        typeof constructor === "object" &&
        constructor !== null &&
        Object.hasOwn(constructor, "prototype")
      ) {
        return true;
      }
    }
    for (const child of Object.values(value)) stack.push(child);
  }
  return false;
}

/** Says where, never what: the engine's own message quotes the body. */
export function invalidJson(error: unknown): AppError {
  const message = errorMessage(error);
  const place = /at position (\d+)(?: \(line (\d+) column (\d+)\))?/.exec(message);
  if (place !== null) {
    const line = place[2] === undefined ? "" : ` (line ${place[2]}, column ${place[3]})`;
    // The engine counts positions from 0, lines and columns from 1.
    const character = Number(place[1]) + 1;
    return new AppError("invalid_json", { detail: `not valid JSON at character ${character}${line}` });
  }
  if (message.startsWith("Unexpected end")) {
    return new AppError("invalid_json", { detail: "the JSON ends before it is complete" });
  }
  return new AppError("invalid_json");
}
