import type { AddressInfo } from "node:net";
import { fastify } from "fastify";
import { WebhookBody } from "../../protocol/inbox.ts";
import { validatorOptions } from "../../src/schema/check.ts";

/** What Fastify can do at best with the same requests: parse and check the body, and answer at once. */
const app = fastify({
  ajv: { customOptions: { ...validatorOptions, keywords: [...validatorOptions.keywords] } },
});
const accepted = JSON.stringify({ status: "accepted", message_id: "0198c0de-0000-7000-8000-000000000000" });

app.post("/api/v1/webhook", { schema: { body: WebhookBody } }, (_request, reply) => {
  void reply.code(202).header("content-type", "application/json; charset=utf-8").send(accepted);
});

await app.listen({ host: "127.0.0.1", port: 0 });
const { port } = app.server.address() as AddressInfo;
process.send?.({ port });
process.on("disconnect", () => process.exit());
