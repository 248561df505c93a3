import {
  Contact,
  DialogPage,
  DialogQuery,
  IdParams,
  MessagePage,
  MessageQuery,
  WebhookAccepted,
  WebhookBody,
  WebhookQuery,
} from "../../../protocol/inbox.ts";
import type { Deps, Route } from "../../deps.ts";
import { AppError } from "../../lib/errors.ts";
import { createBuckets, createRateHeaders } from "../../lib/token-bucket.ts";
import { createAccept, payloadBytesMax } from "./accept.ts";
import { type Sender, authenticateSender } from "./authenticate.ts";
import { findContact, listDialogs, listMessages } from "./queries.ts";
import { sourceRoutes } from "./routes-sources.ts";
import { signatureHeaders } from "../../access/signature.ts";
import type { Sources } from "./sources.ts";

type RouteDeps = Pick<Deps, "config" | "clock" | "db" | "eventlog" | "log"> & { readonly sources: Sources };

/** Sources whose rate is remembered. */
const sourcesMax = 10_000;
const tag = "inbox";

export function inboxRoutes(deps: RouteDeps): readonly Route[] {
  return [webhookRoute(deps), ...readRoutes(deps), ...sourceRoutes(deps)];
}

function webhookRoute(deps: RouteDeps): Route {
  const accept = createAccept(deps);
  const buckets = createBuckets({ rate: deps.config.rateSource, keysMax: sourcesMax, clock: deps.clock });
  const rateHeaders = createRateHeaders("source", deps.config.rateSource);
  return {
    method: "POST",
    path: "/api/v1/webhook",
    scope: "self",
    summary: "Accept a message from an outside messenger",
    description:
      "Answers when the message is durable. The same `external_message_id` of the same source is one message, " +
      "however often it is sent; every repetition gets the same answer. The sender proves itself by an API key or by " +
      "the signature that its source's scheme asks for.",
    tag,
    authenticate: (request) => authenticateSender(deps, request),
    bodyBytesMax: payloadBytesMax,
    query: WebhookQuery,
    body: WebhookBody,
    responses: { 202: WebhookAccepted },
    headers: signatureHeaders,
    errors: [
      "signature_missing",
      "signature_invalid",
      "signature_expired",
      "forbidden",
      "unknown_source",
      "draining",
    ],
    handler: async (request) => {
      const { source, actor } = request.sender as Sender;
      const taken = buckets.take(source.name);
      const headers = rateHeaders(taken);
      if (!taken.allowed) {
        const { retryAfterS } = taken;
        throw new AppError("rate_limited", {
          detail: "this source sends too fast",
          retryAfterS,
          headers: { ...headers },
        });
      }
      const { rawText } = request;
      if (rawText === undefined) throw new Error("a route that authenticates keeps the body's text");
      const id = await accept({
        sourceId: source.id,
        actor,
        body: request.body as WebhookBody,
        text: rawText,
      });
      // Two fields that need no escaping: the schema's serialiser would cost more than the rest of the answer.
      return { status: 202, json: `{"status":"accepted","message_id":"${id}"}`, headers };
    },
  };
}

function readRoutes({ db }: RouteDeps): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/dialogs",
      scope: "inbox:read",
      summary: "List dialogs, the one with the newest message first",
      tag,
      query: DialogQuery,
      responses: { 200: DialogPage },
      errors: ["invalid_cursor"],
      handler: async ({ query }) => ({ status: 200, body: await listDialogs(db, query as DialogQuery) }),
    },
    {
      method: "GET",
      path: "/api/v1/dialogs/:id/messages",
      scope: "inbox:read",
      summary: "List the messages of a dialog, the first one sent first or the last one",
      tag,
      params: IdParams,
      query: MessageQuery,
      responses: { 200: MessagePage },
      errors: ["invalid_cursor", "not_found"],
      handler: async ({ params, query }) => ({
        status: 200,
        body: await listMessages(db, (params as IdParams).id, query as MessageQuery),
      }),
    },
    {
      method: "GET",
      path: "/api/v1/contacts/:id",
      scope: "inbox:read",
      summary: "Show a contact",
      tag,
      params: IdParams,
      responses: { 200: Contact },
      errors: ["not_found"],
      handler: async ({ params }) => ({ status: 200, body: await findContact(db, (params as IdParams).id) }),
    },
  ];
}
