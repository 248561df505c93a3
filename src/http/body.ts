import { isUtf8 } from "node:buffer";
import { AppError } from "../lib/errors.ts";
import { addressKey } from "../access/address.ts";
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

/** What a body that comes in several parts gets at first, in bytes. */
const capacityMin = 4_096;

/**
 * Reads a body of bounded size into one piece of memory, at most twice as large as what has arrived. Most bodies are
 * one part, which Node has copied already and which belongs to nobody else: that one is taken as it is.
 */
function collect(
  payload: InboundRequest,
  load: Load,
  done: (error: Error | null, bytes?: Buffer) => void,
): void {
  const { bodyBytesMax, proof, headers } = payload;
  const announced = headers["content-length"] === undefined ? undefined : Number(headers["content-length"]);
  if (announced !== undefined && announced > bodyBytesMax) return done(tooLarge(bodyBytesMax));
  payload.proved = payload.actor !== undefined || (proof !== undefined && proof.verifyBody === undefined);
  let bytes: Buffer = nothing;
  let length = 0;
  let finished = false;

  function finish(error: Error | null): void {
    finished = true;
    load.resume(payload);
    if (error === null) return done(null, length === bytes.length ? bytes : bytes.subarray(0, length));
    bytes = nothing;
    load.letGo(payload);
    done(error);
  }
  function keep(part: Buffer): boolean {
    const needed = length + part.length;
    if (needed > bytes.length) {
      // Whoever sends a body in parts can keep it unfinished, and gets no more than an address's share.
      if (length === 0 && part.length !== announced && !payload.proved) {
        payload.shareKey = addressKey(payload.address);
      }
      const capacity = length === 0 ? needed : grown(bytes.length, needed, announced ?? bodyBytesMax);
      if (!load.holdBody(payload, capacity - bytes.length)) return false;
      if (length === 0) bytes = part;
      else {
        const larger = Buffer.allocUnsafeSlow(capacity);
        bytes.copy(larger, 0, 0, length);
        bytes = larger;
      }
    }
    if (bytes !== part) part.copy(bytes, length);
    length = needed;
    return true;
  }
  payload.on("data", (part: Buffer) => {
    // What still arrives after a refusal flows on and is dropped.
    if (finished) return;
    if (length + part.length > bodyBytesMax) finish(tooLarge(bodyBytesMax));
    else if (!keep(part))
      finish(new AppError("overloaded", { detail: "bodies fill the memory", retryAfterS: 1 }));
  });
  payload.on("end", () => {
    if (!finished) finish(null);
  });
  payload.on("error", (error) => {
    if (!finished) finish(error);
  });
  load.rest(payload);
  payload.askForBody?.();
  payload.askForBody = undefined;
}

function grown(capacity: number, needed: number, capacityMax: number): number {
  return Math.max(needed, Math.min(capacityMax, Math.max(capacityMin, 2 * capacity)));
}

function tooLarge(bytesMax: number): AppError {
  return new AppError("body_too_large", { detail: `at most ${bytesMax} bytes are accepted` });
}

function parseBody(payload: InboundRequest, bytes: Buffer): unknown {
  const { proof } = payload;
  if (proof?.verifyBody !== undefined) {
    proof.verifyBody(bytes);
    payload.verified = true;
  }
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
