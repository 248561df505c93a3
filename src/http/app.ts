import type { Server, ServerResponse } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteGenericInterface } from "fastify";
import type { InboundRequest } from "./inbound.ts";

/** Fastify's types with our request class filled in. */
export type HttpApp = FastifyInstance<Server, InboundRequest, ServerResponse<InboundRequest>>;
export type HttpRequest = FastifyRequest<RouteGenericInterface, Server, InboundRequest>;
export type HttpReply = FastifyReply<
  RouteGenericInterface,
  Server,
  InboundRequest,
  ServerResponse<InboundRequest>
>;
