import { scopes } from "../../protocol/scopes.ts";
import type { Route } from "../deps.ts";

/** What OpenAPI says about a route besides its schemas. */
export function operationSchema(route: Route): Record<string, unknown> {
  const needs = securityOf(route);
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

function securityOf({ scope, programScope }: Route): { security: object[]; sentence: string | undefined } {
  if (scope === "open") return { security: [], sentence: undefined };
  if (scope === "self") {
    return {
      security: [{}, { bearer: [] }, { apiKey: [] }],
      sentence: "Authenticated by its signature, or by a credential.",
    };
  }
  if (scope === "person") {
    const programs =
      programScope === undefined
        ? ""
        : `, and for programs with the scope \`${programScope}\` (${scopes[programScope]})`;
    return {
      security: [{ bearer: [] }, ...(programScope === undefined ? [] : [{ apiKey: [programScope] }])],
      sentence: `For everybody who is signed in${programs}.`,
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
  headers: {
    "X-Request-Id": {
      description: "the caller's own where it is harmless, otherwise a new one; the server's log names it",
      schema: { type: "string" },
    },
    "RateLimit-Policy": {
      description: "each bucket that was asked: `q` is its burst, `w` the seconds that fill it",
      schema: { type: "string", examples: ['"ip";q=20000;w=2'] },
    },
    RateLimit: {
      description: "what is left in each of them (`r`), and the seconds until it is full again (`t`)",
      schema: { type: "string", examples: ['"ip";r=19999;t=1'] },
    },
    "Retry-After": {
      description: "seconds after which the same request may be sent again",
      schema: { type: "integer", minimum: 1 },
    },
    "WWW-Authenticate": {
      description:
        "`Bearer` where a credential is missing or wrong, `Webhook-Signature` where a signature is",
      schema: { type: "string" },
    },
  },
} as const;
