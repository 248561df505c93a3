import { errors } from "jose";
import { AppError } from "../lib/errors.ts";

export const notAToken = "The credential is neither an API key nor a JWT";

export function refuse(detail: string, cause?: unknown): AppError {
  return new AppError("unauthorized", cause === undefined ? { detail } : { detail, cause });
}

/** Says what is wrong with a token, never what would be right: expected issuers and key ids stay inside. */
export function refusalOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "The token has expired";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "The token's signature does not match";
  if (error instanceof errors.JWKSNoMatchingKey)
    return "The token is signed by a key that its issuer does not publish";
  if (error instanceof errors.JOSEAlgNotAllowed) return "The token's algorithm is not accepted here";
  if (error instanceof errors.JWTClaimValidationFailed) return claimRefusalOf(error);
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return notAToken;
  return "The token cannot be verified";
}

function claimRefusalOf({ claim, reason }: errors.JWTClaimValidationFailed): string {
  if (reason === "missing") return `The token lacks the claim "${claim}"`;
  if (claim === "nbf") return "The token is not valid yet";
  if (claim === "iss") return "The token comes from another issuer";
  if (claim === "aud") return "The token is meant for another audience";
  return `The token's claim "${claim}" is not valid`;
}
