import { Type } from "typebox";
import type { Route, RouteResponse } from "../deps.ts";
import { AppError } from "../lib/errors.ts";
import type { HttpApp, HttpReply, HttpRequest } from "./app.ts";
import { createCoercion } from "./coerce.ts";
import { type GuardContext, createGuard } from "./guard.ts";
import { isHealthPath } from "./health.ts";
import { operationSchema } from "./openapi.ts";
import { setHeaders } from "./problem.ts";

/** Of routes that describe no query. */
const noQuery = Type.Object({}, { additionalProperties: false });
const jsonContentType = "application/json; charset=utf-8";

/** Registers a route: its schemas validate and document, its guard runs before the body is read. */
export function addRoute(app: HttpApp, context: GuardContext, route: Route): void {
  const guard = createGuard(context, {
    method: route.method,
    path: route.path,
    scope: route.scope,
    programScope: route.programScope,
    authenticate: route.authenticate,
    bodyBytesMax: route.bodyBytesMax,
    unlimited: isHealthPath(route.path),
    // What only some may read must not stay in anybody's cache; a webhook's answer holds nothing to read.
    ...(route.scope === "open" || route.scope === "self" ? {} : { headers: { "cache-control": "no-store" } }),
  });
  const prepare = createPreparation(route);
  // Probes put what they like behind a path; to everybody else a parameter is a wish.
  const query = route.query ?? (route.scope === "open" ? undefined : noQuery);

  app.route({
    method: route.method,
    url: route.path,
    schema: {
      ...operationSchema(route),
      ...(route.body === undefined ? {} : { body: route.body }),
      ...(query === undefined ? {} : { querystring: query }),
      ...(route.params === undefined ? {} : { params: route.params }),
      response: route.responses,
    },
    onRequest: [guard, ...bodyHooks(route)],
    ...(prepare === undefined ? {} : { preValidation: prepare }),
    handler: createHandler(route.handler),
  });
}

/** Whether a body is read or, with GET, ignored; anywhere else it would be a wish that is passed over in silence. */
export function takesBody({ body, method }: Route): boolean {
  return body !== undefined || method === "GET";
}

function bodyHooks(route: Route) {
  if (!takesBody(route)) return [refuseBody];
  return route.bodyOptional === true ? [forgetEmptyBody] : [];
}

function refuseBody(request: HttpRequest, reply: HttpReply, done: (error?: Error) => void): void {
  if (hasBody(request)) done(new AppError("invalid_body", { detail: "this route takes no body" }));
  else forgetEmptyBody(request, reply, done);
}

/** An empty body is none, whatever its type: some clients give it one. The framework would refuse it for that. */
function forgetEmptyBody(request: HttpRequest, _reply: HttpReply, done: () => void): void {
  if (!hasBody(request)) delete request.raw.headers["content-type"];
  done();
}

function hasBody({ raw: { headers } }: HttpRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;
}

/** What has to be done to a request before its schemas see it; undefined is nothing. */
function createPreparation({ query, params, bodyOptional }: Route) {
  const coerceQuery = createCoercion(query);
  const coerceParams = createCoercion(params);
  if (coerceQuery === undefined && coerceParams === undefined && bodyOptional !== true) return undefined;
  return (request: HttpRequest, _reply: HttpReply, done: () => void): void => {
    coerceQuery?.(request.query as Record<string, unknown>);
    coerceParams?.(request.params as Record<string, unknown>);
    if (bodyOptional === true && request.body === undefined) request.body = {};
    done();
  };
}

function createHandler(handle: Route["handler"]) {
  return async (request: HttpRequest, reply: HttpReply): Promise<void> => {
    const { raw } = request;
    const response = await handle({
      actor: raw.actor,
      body: request.body,
      query: request.query,
      params: request.params,
      sender: raw.proof?.sender,
      rawText: raw.rawText,
      headers: raw.headers,
      httpVersion: raw.httpVersion,
      target: raw.url ?? "",
      ip: raw.address,
      requestId: request.id,
    });
    answer(reply, response);
  };
}

function answer(reply: HttpReply, response: RouteResponse): void {
  // HEAD of what has no end ends with its headers.
  if (response.stream !== undefined && reply.request.method !== "HEAD") {
    return answerItself(reply, response.stream);
  }
  reply.code(response.status);
  if (response.headers !== undefined) setHeaders(reply, response.headers);
  if (response.json === undefined) reply.send(response.body);
  else reply.header("content-type", jsonContentType).send(response.json);
}

/** Hands the response over, with the headers that every answer has. */
function answerItself(reply: HttpReply, stream: NonNullable<RouteResponse["stream"]>): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
  reply.hijack();
  stream(reply.raw);
}
