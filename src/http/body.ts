import { isUtf8 } from "node:buffer";
import { AppError } from "../lib/errors.ts";
import type { HttpApp, HttpRequest } from "./app.ts";
import type { InboundRequest } from "./inbound.ts";
import { invalidJson, parseSafely } from "./json.ts";
import type { Load } from "./load.ts";

type Done = (error: Error | null, value?: unknown) => void;

/** Makes JSON in UTF-8 the only body that is understood; everything else is `unsupported_media_type`. */
export function acceptJsonOnly(app: HttpApp, load: Load): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    (request: HttpRequest, payload: InboundRequest, done: Done) => {
      const refusal = refuseEncoding(request);
      if (refusal !== undefined) return done(refusal);
      collect(payload, load, (error, bytes) => {
        if (bytes === undefined) return done(error);
        let value: unknown;
        try {
          value = parseBody(payload, bytes);
        } catch (error) {
          return done(error instanceof AppError ? error : invalidJson(error));
        }
        done(null, value);
      });
    },
  );
}

const nothing = Buffer.alloc(0);

/**
 * Reads a body of bounded size. The framework's own reader copies every body once more; Node hands out chunks that
 * belong to nobody else, and most bodies are one.
 */
function collect(
  payload: InboundRequest,
  load: Load,
  done: (error: Error | null, bytes?: Buffer) => void,
): void {
  const { bodyBytesMax } = payload;
  if (Number(payload.headers["content-length"]) > bodyBytesMax) return done(tooLarge(bodyBytesMax));
  let first: Buffer | undefined;
  let more: Buffer[] | undefined;
  let finished = false;

  function finish(error: Error | null, bytes?: Buffer): void {
    finished = true;
    done(error, bytes);
  }
  payload.on("data", (chunk: Buffer) => {
    // What still arrives after a refusal flows on and is dropped.
    if (finished) return;
    payload.bodyBytes += chunk.length;
    load.holdBody(chunk.length);
    if (payload.bodyBytes > bodyBytesMax) finish(tooLarge(bodyBytesMax));
    else if (load.bodiesFull) finish(new AppError("overloaded", { retryAfterS: 1 }));
    else if (first === undefined) first = chunk;
    else (more ??= [first]).push(chunk);
  });
  payload.on("end", () => {
    if (!finished) finish(null, more === undefined ? (first ?? nothing) : Buffer.concat(more));
  });
  payload.on("error", (error) => {
    if (!finished) finish(error);
  });
}

function tooLarge(bytesMax: number): AppError {
  return new AppError("body_too_large", { detail: `at most ${bytesMax} bytes are accepted` });
}

function parseBody(payload: InboundRequest, bytes: Buffer): unknown {
  const { proof } = payload;
  proof?.verifyBody?.(bytes);
  // An empty body is left to the route: one without a schema does not want any.
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw new AppError("invalid_encoding");
  const text = bytes.toString("utf8");
  if (proof !== undefined) payload.rawText = text;
  return parseSafely(text);
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
