import { isUtf8 } from "node:buffer";
import { AppError, errorMessage } from "../lib/errors.ts";
import type { HttpApp, HttpRequest } from "./app.ts";

/** Makes JSON in UTF-8 the only body that is understood; everything else is `unsupported_media_type`. */
export function acceptJsonOnly(app: HttpApp): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, readJson);
}

function readJson(
  request: HttpRequest,
  body: Buffer,
  done: (error: Error | null, value?: unknown) => void,
): void {
  const refusal = refuseEncoding(request);
  if (refusal !== undefined) return done(refusal);
  if (request.raw.keepRawBody) request.raw.rawBody = body;
  // An empty body is left to the route: one without a schema does not want any.
  if (body.length === 0) return done(null, undefined);
  if (!isUtf8(body)) return done(new AppError("invalid_encoding"));
  let value: unknown;
  try {
    value = parseSafely(body.toString("utf8"));
  } catch (error) {
    return done(error instanceof AppError ? error : invalidJson(error));
  }
  done(null, value);
}

function refuseEncoding({ headers }: HttpRequest): AppError | undefined {
  const contentType = headers["content-type"];
  if (contentType !== "application/json" && contentType !== undefined) {
    const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(contentType)?.[1];
    if (charset !== undefined && charset.toLowerCase() !== "utf-8" && charset.toLowerCase() !== "utf8") {
      return new AppError("unsupported_media_type", { detail: "JSON is read in UTF-8 only" });
    }
  }
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    return new AppError("unsupported_media_type", { detail: "compressed bodies are not read" });
  }
  return undefined;
}

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
function invalidJson(error: unknown): AppError {
  const message = errorMessage(error);
  const place = /at position (\d+)(?: \(line (\d+) column (\d+)\))?/.exec(message);
  if (place !== null) {
    const line = place[2] === undefined ? "" : ` (line ${place[2]}, column ${place[3]})`;
    return new AppError("invalid_json", { detail: `not valid JSON at character ${place[1]}${line}` });
  }
  if (message.startsWith("Unexpected end")) {
    return new AppError("invalid_json", { detail: "the JSON ends before it is complete" });
  }
  return new AppError("invalid_json");
}
