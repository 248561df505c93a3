import fastifySwagger from "@fastify/swagger";
import fastifySwaggerUi from "@fastify/swagger-ui";
import type { Route } from "../deps.ts";
import type { HttpApp } from "./app.ts";
import { type GuardContext, createGuard } from "./guard.ts";
import { components } from "./openapi.ts";
import { type OpenApiDocument, completeDocument } from "./openapi-answers.ts";
import { version } from "./version.ts";

const documentPath = "/openapi.json";
const pagePath = "/docs";

/** The page is all our own files and talks to nobody but this server; its widgets set style attributes. */
const pageHeaders = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

/** Collects the routes that are added after it into an OpenAPI document. */
export async function collectDocument(app: HttpApp, routes: readonly Route[]): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.1",
      info: {
        title: "Tidings",
        version,
        description: "Messaging and notifications on one durable event log. Errors are RFC 9457 problems.",
      },
      externalDocs: { url: "/asyncapi.json", description: "What goes over WebSockets" },
      servers: [{ url: "/", description: "this server" }],
      components,
    },
    // 3.1 has `const`; turning it into one-element enums is for 3.0.
    convertConstToEnum: false,
    transformObject: (document) => {
      if (!("openapiObject" in document)) throw new Error("the document is made as OpenAPI 3");
      // The plugin's types know the document only as deeply optional; ours names the parts that are changed.
      return completeDocument(
        document.openapiObject as OpenApiDocument,
        routes,
      ) as typeof document.openapiObject;
    },
  });
}

/** Serves the document, and the page to try it. */
export async function serveDocs(app: HttpApp, context: GuardContext): Promise<void> {
  // As bytes, so that all who are slow to read it share one copy.
  let bytes: Buffer | undefined;
  app.route({
    method: "GET",
    url: documentPath,
    schema: { hide: true },
    onRequest: createGuard(context, { method: "GET", path: documentPath, scope: "open" }),
    handler: async (_request, reply) => {
      bytes ??= Buffer.from(JSON.stringify(app.swagger()));
      reply.header("content-type", "application/json; charset=utf-8").send(bytes);
    },
  });

  // Whoever opens the server's own address in a browser means the page.
  app.route({
    method: "GET",
    url: "/",
    schema: { hide: true },
    onRequest: createGuard(context, { method: "GET", path: "/", scope: "open" }),
    handler: async (_request, reply) => reply.redirect(pagePath),
  });

  app.addHook("onRoute", (route) => {
    if (route.url !== pagePath && !route.url.startsWith(`${pagePath}/`)) return;
    const method = typeof route.method === "string" ? route.method : "GET";
    const rule = { method, path: route.url, scope: "open", headers: pageHeaders } as const;
    route.onRequest = createGuard(context, rule);
  });
  await app.register(fastifySwaggerUi, {
    routePrefix: pagePath,
    uiConfig: { deepLinking: true, displayRequestDuration: true, tryItOutEnabled: true },
    theme: { title: "Tidings API" },
  });
}
