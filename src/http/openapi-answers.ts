import { STATUS_CODES } from "node:http";
import { type ErrorCode, errorRules } from "../../protocol/errors.ts";
import type { Route } from "../deps.ts";
import { isHealthPath } from "./health.ts";
import { type components, operationId } from "./openapi.ts";
import { takesBody } from "./routes.ts";

type Answer = { description?: string; headers?: Record<string, unknown>; content?: unknown };
type Operation = {
  operationId?: string;
  parameters?: unknown[];
  requestBody?: { required?: boolean };
  responses?: Record<string, Answer>;
};
export type OpenApiDocument = {
  components?: { schemas?: Record<string, unknown> };
  paths?: Record<string, Record<string, unknown>>;
};

/**
 * Completes the finished document: the errors that each route can be refused with, the headers of requests and answers,
 * and what the framework cannot know. In the routes' own schemas each error would cost a serialiser per route and
 * status, for texts that are never serialised by one.
 */
export function completeDocument<T extends OpenApiDocument>(document: T, routes: readonly Route[]): T {
  const byId = new Map(routes.map((route) => [operationId(route), route]));
  const operations = Object.values(document.paths ?? {}).flatMap(
    (path) => Object.values(path) as Operation[],
  );
  for (const operation of operations) {
    const route = byId.get(operation.operationId ?? "");
    if (route !== undefined) completeOperation(operation, route);
  }
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, Problem: problemSchema },
  };
  return document;
}

function completeOperation(operation: Operation, route: Route): void {
  const responses: Record<string, Answer> = { ...operation.responses };
  for (const [status, codes] of byStatus(errorsOf(route))) responses[status] ??= problemAnswer(codes);
  for (const [status, answer] of Object.entries(responses)) {
    if (answer.description === unnamed) answer.description = STATUS_CODES[status] ?? unnamed;
    answer.headers = { ...answer.headers, ...headersOf(route, Number(status)) };
  }
  operation.responses = responses;
  const headers = Object.entries(route.headers ?? {}).map(([name, description]) => ({
    in: "header",
    name,
    required: false,
    schema: { type: "string" },
    description,
  }));
  if (headers.length > 0) operation.parameters = [...(operation.parameters ?? []), ...headers];
  if (route.bodyOptional === true && operation.requestBody !== undefined)
    operation.requestBody.required = false;
}

/** What the framework writes where a schema has no description. */
const unnamed = "Default Response";

function problemAnswer(codes: readonly ErrorCode[]): Answer {
  const ofThese = { properties: { code: { enum: codes } } };
  return {
    description: codes.map((code) => `\`${code}\`: ${errorRules[code].title}`).join("\n\n"),
    content: {
      "application/problem+json": {
        schema: { allOf: [{ $ref: "#/components/schemas/Problem" }, ofThese] },
      },
    },
  };
}

function headersOf(route: Route, status: number): Record<string, unknown> {
  const names: (keyof typeof components.headers)[] = ["X-Request-Id"];
  if (!isHealthPath(route.path)) names.push("RateLimit", "RateLimit-Policy");
  if (status === 429 || status === 503) names.push("Retry-After");
  if (status === 401) names.push("WWW-Authenticate");
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** What the route can be refused with: by http itself, and by its own word. */
function errorsOf(route: Route): ReadonlySet<ErrorCode> {
  const codes = new Set<ErrorCode>(["invalid_header", "invalid_query", "headers_too_large", "internal"]);
  const add = (...more: readonly ErrorCode[]): void => more.forEach((code) => codes.add(code));
  if (!isHealthPath(route.path)) add("rate_limited", "overloaded", "unavailable");
  if (route.scope !== "open") add("unauthorized");
  if (route.scope !== "open" && route.scope !== "self") add("forbidden");
  if (route.body !== undefined) {
    add("invalid_json", "invalid_encoding", "invalid_body");
    add("request_timeout", "body_too_large", "unsupported_media_type");
  } else if (!takesBody(route)) {
    add("invalid_body");
  }
  if (route.params !== undefined) add("invalid_path");
  add(...(route.errors ?? []));
  return codes;
}

/** In the order of the table of errors. */
function byStatus(codes: ReadonlySet<ErrorCode>): ReadonlyMap<number, readonly ErrorCode[]> {
  const groups = new Map<number, ErrorCode[]>();
  for (const [code, { status }] of Object.entries(errorRules) as [ErrorCode, { status: number }][]) {
    if (codes.has(code)) groups.set(status, [...(groups.get(status) ?? []), code]);
  }
  return groups;
}

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
