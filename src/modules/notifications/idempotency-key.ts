import { limits } from "../../../protocol/limits.ts";
import type { RouteRequest } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";

const keyForm = new RegExp(`^[\\x21-\\x7e]{1,${limits.idempotencyKeyLength}}$`);

/** What routes say of it that take one. */
export const keyHeaders = {
  "Idempotency-Key": "1 to 255 visible ASCII characters that name this request, for 24 hours",
} as const;

/** The key under which a request was sent, if any. Throws `invalid_header`. */
export function keyOf({ headers }: Pick<RouteRequest, "headers">): string | undefined {
  const given = headers["idempotency-key"];
  if (given === undefined) return undefined;
  if (typeof given === "string" && keyForm.test(given)) return given;
  const detail = `must be 1 to ${limits.idempotencyKeyLength} visible ASCII characters, once`;
  throw new AppError("invalid_header", {
    detail: `Idempotency-Key ${detail}`,
    fields: [{ pointer: "Idempotency-Key", code: "pattern", detail }],
  });
}
