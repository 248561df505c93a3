import { requireSignature } from "../../access/signature.ts";
import type { Deps, Proof, RefusedRequest, UnreadRequest } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { noteRefused } from "./note-refused.ts";

/** The headers that prove a payment provider. */
export const signatureHeaders = {
  "webhook-id": "the id of the message, which is signed with it",
  "webhook-timestamp": "when it was sent, unix seconds",
  "webhook-signature": "`v1,` and the signature in base64; up to five, separated by spaces",
} as const;

/** The provider that the path names, if it has signed: from the headers alone as far as they tell, and then from the body. */
export function authenticateProvider(
  { config, clock, log }: Pick<Deps, "config" | "clock" | "log">,
  { params, headers }: UnreadRequest,
): Proof<string> {
  const { provider } = params;
  const secrets = typeof provider === "string" ? config.paymentSecrets.get(provider) : undefined;
  if (typeof provider !== "string" || secrets === undefined) {
    throw new AppError("not_found", {
      detail: "there is no such payment provider: the server's option PAYMENT_SECRETS names them",
    });
  }
  const verifyBody = requireSignature(headers, {
    scheme: "standard",
    secrets,
    toleranceS: config.webhookToleranceS,
    nowS: Math.floor(clock.now() / 1000),
  });
  const onRefused = (refused: RefusedRequest): void => noteRefused(log, provider, refused);
  return { sender: provider, verifyBody, onRefused };
}
