import assert from "node:assert/strict";
import type { Answer } from "./app.ts";

type Described = {
  readonly description?: string;
  readonly content?: Readonly<Record<string, { readonly schema?: { readonly allOf?: readonly unknown[] } }>>;
};
type Operation = { readonly responses?: Readonly<Record<string, Described>> };

/** What the served OpenAPI document says that a request may be answered with. */
export type Description = {
  /** `GET /api/v1/dialogs/:id/messages`, and so on. */
  readonly routes: readonly string[];
  /** Whether a route takes such requests at all. */
  has(method: string, url: string): boolean;
  /** Why this answer to such a request is not in the document; undefined when it is. A problem has a code. */
  missing(
    method: string,
    url: string,
    answer: { readonly status: number; readonly code?: string },
  ): string | undefined;
};

export async function readDescription(
  request: (method: string, path: string) => Promise<Pick<Answer, "status" | "text">>,
): Promise<Description> {
  const served = await request("GET", "/openapi.json");
  assert.equal(served.status, 200);
  const { paths } = JSON.parse(served.text) as { paths: Record<string, Record<string, Operation>> };

  /** Paths without parameters win, as they do in the server. */
  const candidates = Object.keys(paths)
    .map((path) => ({ path, pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`) }))
    .sort((a, b) => Number(a.path.includes("{")) - Number(b.path.includes("{")));
  const find = (method: string, url: string): Operation | undefined => {
    const path = url.split("?", 1)[0] ?? "";
    const known = method === "HEAD" ? "get" : method.toLowerCase();
    const fitting = candidates.filter(({ pattern }) => pattern.test(path));
    return fitting.map((candidate) => paths[candidate.path]?.[known]).find((found) => found !== undefined);
  };

  return {
    routes: Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`),
    ),
    has: (method, url) => find(method, url) !== undefined,
    missing: (method, url, { status, code }) => {
      const operation = find(method, url);
      if (operation === undefined) return `${method} ${url} is not described`;
      const described = operation.responses?.[status];
      if (described === undefined) return `${method} ${url} is described without ${status}`;
      if (code === undefined || codesOf(described).includes(code)) return undefined;
      return `${status} of ${method} ${url} is described without ${code}`;
    },
  };
}

/** The codes of a problem that a program finds in its schema. */
function codesOf({ content }: Described): readonly string[] {
  const parts = content?.["application/problem+json"]?.schema?.allOf ?? [];
  return parts.flatMap((part) => {
    const { properties } = part as { properties?: { code?: { enum?: readonly string[] } } };
    return properties?.code?.enum ?? [];
  });
}
