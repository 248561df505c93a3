import { randomBytes } from "node:crypto";
import { type SourceScheme, sourceNamePattern, sourceNameRule } from "../../../protocol/inbox.ts";
import { isStandardSecret, standardSecretRule } from "../../access/standard-secret.ts";
import { AppError } from "../../lib/errors.ts";

const telegramToken = /^[A-Za-z0-9_-]{16,256}$/;

/** Refuses a name or secret that a source cannot have. The command line passes through no schema, so all is checked here. */
export function checkNewSource(name: string, scheme: SourceScheme, secret: string | undefined): void {
  const refuse = (pointer: string, detail: string): never => {
    throw new AppError("invalid_body", {
      detail: `${pointer} ${detail}`,
      fields: [{ pointer, code: "format", detail }],
    });
  };
  if (!new RegExp(sourceNamePattern).test(name)) refuse("/name", `must be ${sourceNameRule}`);
  if (secret === undefined) return;
  if (scheme === "api_key") refuse("/secret", "is made by the server for this scheme: leave it out");
  if (scheme === "standard" && !isStandardSecret(secret)) {
    refuse("/secret", `must be ${standardSecretRule}`);
  }
  if (scheme === "telegram" && !telegramToken.test(secret)) {
    refuse("/secret", "must be 16 to 256 letters, digits, dashes or underscores");
  }
  if (secret.length < 16 || secret.length > 256) refuse("/secret", "must have 16 to 256 characters");
  // PostgreSQL cannot hold NUL, UTF-8 no lone surrogates, and what has a control character was pasted by mistake.
  if (/\p{Cc}/u.test(secret) || !secret.isWellFormed()) {
    refuse("/secret", "must not contain control characters or lone surrogates");
  }
  if (secret.trim() !== secret) refuse("/secret", "must not begin or end with white space");
}

export function newSecret(scheme: Exclude<SourceScheme, "api_key">): string {
  return scheme === "standard"
    ? `whsec_${randomBytes(32).toString("base64")}`
    : randomBytes(32).toString("base64url");
}
