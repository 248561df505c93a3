import type { Server, ServerResponse } from "node:http";
import { fastify } from "fastify";
import type { Deps, Handshake, Route } from "../deps.ts";
import { type ListenAddress, listen } from "../lib/listen.ts";
import { validatorOptions } from "../schema/check.ts";
import { createBuckets, createRateHeaders } from "../lib/token-bucket.ts";
import type { HttpApp, HttpReply, HttpRequest } from "./app.ts";
import { acceptJsonOnly } from "./body.ts";
import { type ConnectHandler, createClientErrorHandler, createConnectHandler } from "./client-error.ts";
import { createCors } from "./cors.ts";
import { collectDocument, serveDocs } from "./docs.ts";
import { createErrorHandler } from "./faults.ts";
import { type GuardContext, createGuard } from "./guard.ts";
import { type HealthChecks, createHealth, healthRoutes } from "./health.ts";
import type { InboundRequest } from "./inbound.ts";
import { Load, type LoadBounds } from "./load.ts";
import { createNodeServer } from "./node-server.ts";
import { allowedAnywhere, answerUnmatched } from "./not-found.ts";
import { requestIdOf } from "./request-id.ts";
import { createMeters, unmatchedRoute } from "./route-meter.ts";
import { addRoute } from "./routes.ts";
import { countTraffic } from "./traffic.ts";
import { serveUpgrades } from "./upgrades.ts";
import { violationError } from "./validation.ts";
import { version } from "./version.ts";

export type HttpDeps = Pick<Deps, "config" | "log" | "metrics" | "clock" | "personRate"> & {
  readonly access: Pick<Deps["access"], "authenticate">;
};

export type HttpOptions = {
  readonly routes: readonly Route[];
  readonly health: HealthChecks;
  readonly host: string;
  readonly port: number;
  /** Takes requests to become a WebSocket. */
  readonly onUpgrade?: ((handshake: Handshake) => void) | undefined;
  /** Tests make them small. */
  readonly bounds?: Partial<HttpBounds>;
};

export type HttpServer = {
  readonly address: ListenAddress;
  /**
   * Announces the end: readiness says `draining`, and answers close their connections, those to requests that came
   * before too. `close` follows at once when a process ends.
   */
  stopAccepting(): void;
  /** Closes the port, waits for the requests in flight, at most `closeWaitMs`, and cuts off what is left. */
  close(): Promise<void>;
};

export type HttpBounds = LoadBounds & {
  /** Addresses whose rate is remembered. */
  readonly addressesMax: number;
  readonly closeWaitMs: number;
};

const defaultBounds: HttpBounds = {
  inFlightMax: 5_000,
  loopDelayMaxMs: 500,
  bodyBytesMax: 64 * 1_048_576,
  unprovedBodyBytesMax: 32 * 1_048_576,
  addressBodyBytesMax: 8 * 1_048_576,
  addressesMax: 50_000,
  closeWaitMs: 8_000,
};

/** Longest part of a path that stands for a parameter, in characters. */
const paramLengthMax = 256;

/** Starts the HTTP API. Rejects with a `StartupError` when the port cannot be opened. */
export async function startHttp(deps: HttpDeps, options: HttpOptions): Promise<HttpServer> {
  const { config, clock } = deps;
  const log = deps.log.child({ room: "http" });
  const bounds = { ...defaultBounds, ...options.bounds };
  const load = new Load(bounds);
  const meters = createMeters(deps.metrics);
  const context: GuardContext = {
    access: deps.access,
    load,
    meters,
    addresses: createBuckets({ rate: config.rateIp, keysMax: bounds.addressesMax, clock }),
    rateHeaders: createRateHeaders("ip", config.rateIp),
    personRate: deps.personRate,
    personHeaders: createRateHeaders("person", config.ratePerson),
    cors: createCors(config.corsOrigins, allowedAnywhere),
    host: options.host,
    log,
  };
  const health = createHealth(options.health, { clock, log });
  const routes = [...healthRoutes({ health, version, draining: () => load.draining }), ...options.routes];

  const connects = createConnectHandler({ log, meters });
  const app = createApp({ ...deps, log }, context, connects);
  try {
    await collectDocument(app, routes);
    for (const route of routes) addRoute(app, context, route);
    await serveDocs(app, context);
    answerUnmatched(app, context);
    serveUpgrades(app.server, config, options.onUpgrade);
    await app.ready();
    const address = await listen(app.server, { host: options.host, port: options.port }, "PORT");
    let closed: Promise<void> | undefined;
    return {
      address,
      stopAccepting: () => {
        load.draining = true;
      },
      close: () => (closed ??= closeHttp(app, { load, connects, waitMs: bounds.closeWaitMs })),
    };
  } catch (error) {
    load.stop();
    await app.close();
    throw error;
  }
}

function createApp({ config, log }: HttpDeps, context: GuardContext, connects: ConnectHandler): HttpApp {
  const { load, meters } = context;
  const handleError = createErrorHandler(log, load);
  const guard = createGuard(context, { method: "OTHER", path: unmatchedRoute, scope: "open" });
  // No logger of the framework's: it would make one per request.
  const app = fastify<Server, InboundRequest, ServerResponse<InboundRequest>>({
    serverFactory: (listener) => {
      const server = createNodeServer(countTraffic(listener, context), config);
      return server.on("connect", connects.handle);
    },
    clientErrorHandler: createClientErrorHandler({ log, meters }),
    trustProxy: config.trustProxy.length === 0 ? false : [...config.trustProxy],
    genReqId: requestIdOf,
    return503OnClosing: false,
    routerOptions: { maxParamLength: paramLengthMax },
    ajv: { customOptions: { ...validatorOptions, keywords: [...validatorOptions.keywords] } },
    schemaErrorFormatter: violationError,
    frameworkErrors: (error, anyRequest, anyReply) => {
      // Typed with Node's own request class, made with ours.
      const request = anyRequest as unknown as HttpRequest;
      const reply = anyReply as unknown as HttpReply;
      // Nothing in the guard of an open route waits.
      void guard(request, reply, () => handleError(error, request, reply));
    },
  });
  acceptJsonOnly(app, load);
  app.setErrorHandler(handleError);
  return app;
}

type Closing = { readonly load: Load; readonly connects: ConnectHandler; readonly waitMs: number };

async function closeHttp(app: HttpApp, { load, connects, waitMs }: Closing): Promise<void> {
  load.draining = true;
  // The port closes now, and with it the connections that have no request.
  const closed = new Promise((resolve) => app.server.close(resolve));
  // Nobody who asks for CONNECT is owed a wait, for the answers before it neither.
  connects.closeAll();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  await Promise.race([load.idle(), late]);
  clearTimeout(timer);
  // What is left are connections that never sent a request, which Node would wait for, and requests that took too long.
  app.server.closeAllConnections();
  connects.closeAll();
  await closed;
  await app.close();
  load.stop();
}
