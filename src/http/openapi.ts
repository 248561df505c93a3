import { type ErrorCode, errorRules } from "../../protocol/errors.ts";
import { scopes } from "../../protocol/scopes.ts";
import type { Route } from "../deps.ts";
import { isHealthPath } from "./health.ts";

const problemRef = "#/components/schemas/Problem";

/** What OpenAPI says about a route besides its schemas. */
export function operationSchema(route: Route): Record<string, unknown> {
  const needs = securityOf(route.scope);
  return {
    operationId: operationId(route),
    summary: route.summary,
    description: [route.description, needs.sentence].filter((text) => text !== undefined).join("\n\n"),
    tags: [route.tag],
    security: needs.security,
  };
}

/** A name for the operation that follows from method and path: `GET /api/v1/a/:id` is `getApiV1AById`. */
export function operationId({ method, path }: Pick<Route, "method" | "path">): string {
  const words = path.split(/[^A-Za-z0-9:]+/).filter((word) => word !== "");
  const name = words.map((word) => (word.startsWith(":") ? `By${capital(word.slice(1))}` : capital(word)));
  return method.toLowerCase() + name.join("");
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function securityOf(scope: Route["scope"]): { security: object[]; sentence: string | undefined } {
  if (scope === "open") return { security: [], sentence: undefined };
  if (scope === "self") {
    return {
      security: [{}, { bearer: [] }, { apiKey: [] }],
      sentence: "Authenticated by its signature, or by a credential.",
    };
  }
  return {
    security: [{ bearer: [scope] }, { apiKey: [scope] }],
    sentence: `Needs the scope \`${scope}\` (${scopes[scope]}).`,
  };
}

/** The components that all operations share. */
export const components = {
  securitySchemes: {
    bearer: {
      type: "http",
      scheme: "bearer",
      description: "an API key (tdk_…) or a JWT",
    },
    apiKey: { type: "apiKey", in: "header", name: "X-Api-Key", description: "an API key (tdk_…)" },
  },
} as const;

const problemSchema = {
  type: "object",
  description: "RFC 9457. `code` is stable; `detail` is for people and may change.",
  required: ["type", "title", "status", "code"],
  properties: {
    type: { type: "string", examples: ["urn:tidings:error:invalid_body"] },
    title: { type: "string" },
    status: { type: "integer" },
    code: { type: "string", enum: Object.keys(errorRules) },
    detail: { type: "string" },
    request_id: { type: "string" },
    errors: {
      type: "array",
      items: {
        type: "object",
        required: ["pointer", "code", "detail"],
        properties: {
          pointer: {
            type: "string",
            description: "JSON pointer into the body, or the name of a parameter",
          },
          code: { type: "string" },
          detail: { type: "string" },
        },
      },
    },
  },
};

type Operation = { operationId?: string; responses?: Record<string, unknown> };
export type OpenApiDocument = {
  components?: { schemas?: Record<string, unknown> };
  paths?: Record<string, Record<string, unknown>>;
};

/**
 * Adds to each operation the errors that its route can be refused with. Done on the finished document and not in the
 * routes' schemas, which would compile a serialiser per route and status for texts that are never serialised by one.
 */
export function documentErrors<T extends OpenApiDocument>(document: T, routes: readonly Route[]): T {
  const byId = new Map(routes.map((route) => [operationId(route), route]));
  const operations = Object.values(document.paths ?? {}).flatMap(
    (path) => Object.values(path) as Operation[],
  );
  for (const operation of operations) {
    const route = byId.get(operation.operationId ?? "");
    if (route === undefined) continue;
    const responses: Record<string, unknown> = { ...operation.responses };
    for (const [status, codes] of errorsOf(route)) responses[status] ??= problemResponse(codes);
    operation.responses = responses;
  }
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, Problem: problemSchema },
  };
  return document;
}

function problemResponse(codes: readonly ErrorCode[]): object {
  return {
    description: codes.map((code) => `\`${code}\`: ${errorRules[code].title}`).join("\n\n"),
    content: { "application/problem+json": { schema: { $ref: problemRef } } },
  };
}

/** The codes that http itself can refuse the route with, by status. */
function errorsOf(route: Route): Map<number, ErrorCode[]> {
  const codes: ErrorCode[] = ["internal"];
  if (!isHealthPath(route.path)) codes.push("rate_limited", "overloaded", "unavailable");
  if (route.scope === "self") {
    codes.push("unauthorized", "signature_missing", "signature_invalid", "signature_expired");
  } else if (route.scope !== "open") {
    codes.push("unauthorized", "forbidden");
  }
  if (route.body !== undefined) {
    codes.push("invalid_json", "invalid_encoding", "invalid_body");
    codes.push("request_timeout", "body_too_large", "unsupported_media_type");
  }
  if (route.query !== undefined) codes.push("invalid_query");
  if (route.params !== undefined) codes.push("invalid_path", "not_found");

  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = errorRules[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return byStatus;
}
