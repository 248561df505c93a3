import {
  NewSource,
  RotateSource,
  SourcePage,
  SourceParams,
  SourceQuery,
  SourceRemoved,
  SourceWithSecret,
} from "../../../protocol/inbox.ts";
import { limits } from "../../../protocol/limits.ts";
import { byWhom } from "../../access/actor.ts";
import type { Deps, Route } from "../../deps.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import { unknownSource } from "./source-cache.ts";
import { type Sources, sourceView } from "./sources.ts";

type SourceDeps = Pick<Deps, "log"> & { readonly sources: Sources };

const shared = { scope: "sources:manage", tag: "inbox" } as const;

export function sourceRoutes(deps: SourceDeps): readonly Route[] {
  return [listRoute(deps), createRoute(deps), rotateRoute(deps), removeRoute(deps)];
}

function nameOf(params: unknown): string {
  return (params as { name: string }).name;
}

function listRoute({ sources }: SourceDeps): Route {
  const list = "sources";
  return {
    ...shared,
    method: "GET",
    path: "/api/v1/sources",
    summary: "List webhook sources by name",
    query: SourceQuery,
    responses: { 200: SourcePage },
    errors: ["invalid_cursor"],
    handler: async ({ query }) => {
      const { cursor, limit = limits.pageRowsDefault } = query as SourceQuery;
      const [after] = cursor === undefined ? [] : decodeCursor(cursor, list, ["name"]);
      const rows = await sources.page({
        limit: limit + 1,
        ...(after === undefined ? {} : { after: String(after) }),
      });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const next = rows.length > limit && last !== undefined ? encodeCursor(list, [last.name]) : null;
      return { status: 200, body: { sources: page.map(sourceView), next_cursor: next } };
    },
  };
}

function createRoute({ sources, log }: SourceDeps): Route {
  return {
    ...shared,
    method: "POST",
    path: "/api/v1/sources",
    summary: "Create a webhook source; its secret is shown only here",
    body: NewSource,
    responses: { 201: SourceWithSecret },
    errors: ["conflict"],
    handler: async (request) => {
      const { source, secret } = await sources.create(request.body as NewSource);
      log.info({ ...byWhom(request), source: source.name, scheme: source.scheme }, "source created");
      return { status: 201, body: { source: sourceView(source), secret } };
    },
  };
}

function rotateRoute({ sources, log }: SourceDeps): Route {
  return {
    ...shared,
    method: "POST",
    path: "/api/v1/sources/:name/rotate",
    summary: "Make a new secret; the previous one is good for another 24 hours, or as long as is said",
    params: SourceParams,
    body: RotateSource,
    bodyOptional: true,
    responses: { 200: SourceWithSecret },
    errors: ["unknown_source"],
    handler: async (request) => {
      const { grace_s: graceS = limits.rotationGraceS } = request.body as RotateSource;
      const { source, secret } = await sources.rotate(nameOf(request.params), { graceS });
      log.info({ ...byWhom(request), source: source.name, grace_s: graceS }, "source rotated");
      return { status: 200, body: { source: sourceView(source), secret } };
    },
  };
}

function removeRoute({ sources, log }: SourceDeps): Route {
  return {
    ...shared,
    method: "DELETE",
    path: "/api/v1/sources/:name",
    summary: "Remove a source; its dialogs stay",
    params: SourceParams,
    responses: { 204: SourceRemoved },
    errors: ["unknown_source"],
    handler: async (request) => {
      const name = nameOf(request.params);
      if (!(await sources.remove(name))) throw unknownSource(name);
      log.info({ ...byWhom(request), source: name }, "source removed");
      return { status: 204 };
    },
  };
}
