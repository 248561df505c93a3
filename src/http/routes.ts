import type { Route, RouteResponse } from "../deps.ts";
import type { HttpApp, HttpReply, HttpRequest } from "./app.ts";
import { createCoercion } from "./coerce.ts";
import { type GuardContext, createGuard } from "./guard.ts";
import { isHealthPath } from "./health.ts";
import { operationSchema } from "./openapi.ts";
import { setHeaders } from "./problem.ts";

const jsonContentType = "application/json; charset=utf-8";

/** Registers a route: its schemas validate and document, its guard runs before the body is read. */
export function addRoute(app: HttpApp, context: GuardContext, route: Route): void {
  const coerceQuery = createCoercion(route.query);
  const coerceParams = createCoercion(route.params);
  const coerces = coerceQuery !== undefined || coerceParams !== undefined;

  app.route({
    method: route.method,
    url: route.path,
    schema: {
      ...operationSchema(route),
      ...(route.body === undefined ? {} : { body: route.body }),
      ...(route.query === undefined ? {} : { querystring: route.query }),
      ...(route.params === undefined ? {} : { params: route.params }),
      response: route.responses,
    },
    onRequest: createGuard(context, {
      method: route.method,
      path: route.path,
      scope: route.scope,
      authenticate: route.authenticate,
      bodyBytesMax: route.bodyBytesMax,
      unlimited: isHealthPath(route.path),
    }),
    ...(coerces
      ? {
          preValidation: (request: HttpRequest, _reply: HttpReply, done: () => void) => {
            coerceQuery?.(request.query as Record<string, unknown>);
            coerceParams?.(request.params as Record<string, unknown>);
            done();
          },
        }
      : {}),
    handler: createHandler(route.handler),
  });
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
      ip: raw.address,
      requestId: request.id,
    });
    answer(reply, response);
  };
}

function answer(reply: HttpReply, response: RouteResponse): void {
  reply.code(response.status);
  if (response.headers !== undefined) setHeaders(reply, response.headers);
  if (response.json === undefined) reply.send(response.body);
  else reply.header("content-type", jsonContentType).send(response.json);
}
