import { connect } from "node:net";
import { Type } from "typebox";
import type { Scope } from "../../protocol/scopes.ts";
import type { Actor } from "../access/actor.ts";
import { createPersonRate } from "../access/person-rate.ts";
import { type Config, readConfig } from "../config.ts";
import type { Route, RouteRequest, RouteResponse } from "../deps.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { AppError } from "../lib/errors.ts";
import { createLogger } from "../lib/logger.ts";
import { type Metrics, createMetrics } from "../observe/metrics.ts";
import type { HealthChecks } from "./health.ts";
import { type HttpBounds, type HttpOptions, type HttpServer, startHttp } from "./server.ts";

/** What the tests of this folder share: a server on a free port, with everything behind it faked. */
export type TestServer = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly http: HttpServer;
  readonly metrics: Metrics;
  /** What was logged, one object per line. */
  readonly logged: readonly Record<string, unknown>[];
};

export type TestOptions = {
  readonly routes?: readonly Route[];
  readonly config?: Partial<Config>;
  readonly bounds?: Partial<HttpBounds>;
  /** People whose rate is remembered. */
  readonly peopleMax?: number;
  readonly health?: HealthChecks;
  readonly clock?: Clock;
  readonly host?: string;
  readonly port?: number;
  readonly onUpgrade?: HttpOptions["onUpgrade"];
  readonly authenticate?: (credential: string, address?: string) => Promise<Actor>;
};

export async function startTestServer(options: TestOptions = {}): Promise<TestServer> {
  const logged: Record<string, unknown>[] = [];
  const log = createLogger("debug", {
    write: (line) => {
      logged.push(JSON.parse(line) as Record<string, unknown>);
    },
  });
  const metrics = createMetrics({ process: false });
  const access = { authenticate: options.authenticate ?? authenticateByScope };
  const { clock = systemClock, peopleMax } = options;
  const config = { ...readConfig({}), ...options.config };
  const rated = peopleMax === undefined ? { clock } : { clock, peopleMax };
  const personRate = createPersonRate(config.ratePerson, rated);
  const http = await startHttp(
    { config, log, access, metrics, clock, personRate },
    {
      routes: options.routes ?? [],
      health: options.health ?? [],
      host: options.host ?? "127.0.0.1",
      port: options.port ?? 0,
      onUpgrade: options.onUpgrade,
      ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
    },
  );
  const { port } = http.address;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    http,
    metrics,
    logged,
    [Symbol.asyncDispose]: () => http.close(),
  };
}

/** Credentials of the tests: the scopes themselves, joined by `+`, or a person's id. */
async function authenticateByScope(credential: string): Promise<Actor> {
  if (credential.startsWith("person:")) {
    const person = { username: "ann", role: "user", sessionId: undefined, expiresAt: Infinity } as const;
    return { kind: "user", id: Number(credential.slice(7)), ...person, scopes: new Set() };
  }
  if (!/^scopes:[a-z:+]+$/.test(credential)) throw new AppError("unauthorized", { detail: "unknown key" });
  const scopes = new Set(credential.slice(7).split("+") as Scope[]);
  return { kind: "key", id: 7, name: "test", scopes, sourceId: undefined };
}

/** The lines of `http_requests_total`, once `wanted` is among them: a request is counted after its answer was read. */
export async function requestCounts(server: TestServer, wanted: string): Promise<readonly string[]> {
  for (;;) {
    const page = await server.metrics.registry.metrics();
    const lines = page.split("\n").filter((line) => line.startsWith("http_requests_total{"));
    const counts = lines.map((line) => line.slice("http_requests_total".length));
    if (counts.includes(wanted)) return counts;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A route with the parts that a test names; open, taking any JSON with POST, and answering `{"ok":true}`. */
export function testRoute(parts: Partial<Route> = {}): Route {
  const { method = "POST" } = parts;
  return {
    method,
    path: "/thing",
    scope: "open",
    summary: "A thing",
    tag: "test",
    ...(method === "POST" ? { body: Type.Unknown() } : {}),
    responses: { 200: Type.Unknown() },
    handler: async () => ({ status: 200, json: '{"ok":true}' }),
    ...parts,
  };
}

/** A route that waits until it is told to answer. */
export function waitingRoute(path: string): {
  readonly route: Route;
  /** Requests that have arrived. */
  readonly arrived: RouteRequest[];
  readonly waitFor: (count: number) => Promise<void>;
  readonly release: () => void;
} {
  const arrived: RouteRequest[] = [];
  const listeners = new Set<() => void>();
  const gate = Promise.withResolvers<RouteResponse>();
  const route = testRoute({
    method: "GET",
    path,
    handler: (request) => {
      arrived.push(request);
      for (const listener of listeners) listener();
      return gate.promise;
    },
  });
  return {
    route,
    arrived,
    waitFor: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (arrived.length >= count) resolve();
        };
        listeners.add(check);
        check();
      }),
    release: () => gate.resolve({ status: 200, json: '{"ok":true}' }),
  };
}

export type ProblemBody = {
  readonly type: string;
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail?: string;
  readonly request_id?: string;
  readonly errors?: readonly { readonly pointer: string; readonly code: string; readonly detail: string }[];
};

/** Sends JSON and reads the answer as a problem. */
export async function problemOf(response: Response | Promise<Response>): Promise<ProblemBody> {
  return (await (await response).json()) as ProblemBody;
}

export function postJson(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

/** Writes bytes to a socket of its own and resolves with all that comes back until the server ends the connection. */
export function sendRaw(port: number, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => {
      for (const part of parts) socket.write(part);
    });
    socket.setEncoding("utf8");
    socket.on("data", (text) => {
      answer += String(text);
    });
    socket.on("end", () => {
      socket.destroy();
      resolve(answer);
    });
    socket.on("error", (error) => (answer === "" ? reject(error) : resolve(answer)));
  });
}

/** The status and the JSON body of a raw answer. */
export function parseRaw(answer: string): { status: number; head: string; body: ProblemBody } {
  const split = answer.indexOf("\r\n\r\n");
  const head = answer.slice(0, split);
  return {
    status: Number(head.split(" ")[1]),
    head: head.toLowerCase(),
    body: JSON.parse(answer.slice(split + 4)) as ProblemBody,
  };
}
