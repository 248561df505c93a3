import { isUtf8 } from "node:buffer";
import { limits } from "../../protocol/limits.ts";
import { AppError } from "../lib/errors.ts";
import type { HttpApp, HttpRequest } from "./app.ts";
import type { InboundRequest } from "./inbound.ts";
import { invalidJson, parseSafely } from "./json.ts";

type Done = (error: Error | null, value?: unknown) => void;

/** Makes JSON in UTF-8 the only body that is understood; everything else is `unsupported_media_type`. */
export function acceptJsonOnly(app: HttpApp): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    (request: HttpRequest, payload: InboundRequest, done: Done) => {
      const refusal = refuseEncoding(request);
      if (refusal !== undefined) return done(refusal);
      collect(payload, (error, bytes) => {
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
function collect(payload: InboundRequest, done: (error: Error | null, bytes?: Buffer) => void): void {
  if (Number(payload.headers["content-length"]) > limits.requestBodyBytes) return done(tooLarge());
  let first: Buffer | undefined;
  let more: Buffer[] | undefined;
  let size = 0;

  function onData(chunk: Buffer): void {
    size += chunk.length;
    if (size > limits.requestBodyBytes) return finish(tooLarge());
    if (first === undefined) first = chunk;
    else (more ??= [first]).push(chunk);
  }
  function onEnd(): void {
    finish(null, more === undefined ? (first ?? nothing) : Buffer.concat(more, size));
  }
  function finish(error: Error | null, bytes?: Buffer): void {
    // What still arrives flows on and is dropped.
    payload.off("data", onData).off("end", onEnd).off("error", finish);
    done(error, bytes);
  }
  payload.on("data", onData).on("end", onEnd).on("error", finish);
}

function tooLarge(): AppError {
  return new AppError("body_too_large", { detail: `at most ${limits.requestBodyBytes} bytes are accepted` });
}

function parseBody(payload: InboundRequest, bytes: Buffer): unknown {
  if (payload.keepRawBody) payload.rawBody = bytes;
  // An empty body is left to the route: one without a schema does not want any.
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw new AppError("invalid_encoding");
  const text = bytes.toString("utf8");
  if (payload.keepRawBody) payload.rawText = text;
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
