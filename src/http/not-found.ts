import type { HTTPMethods } from "fastify";
import type { HttpApp, HttpReply, HttpRequest } from "./app.ts";
import { type GuardContext, createGuard } from "./guard.ts";
import { sendProblem } from "./problem.ts";
import { unmatchedRoute } from "./route-meter.ts";

const methods: readonly HTTPMethods[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/** What `Allow` says where no path is meant. */
export const allowedAnywhere = [...methods, "OPTIONS"].join(", ");

/**
 * Answers what no route answers: 404, 405 with the methods that the path does have, and OPTIONS. It does so in a hook,
 * since the framework would otherwise read and parse the body of a request that goes nowhere.
 */
export function answerUnmatched(app: HttpApp, context: GuardContext): void {
  const guard = createGuard(context, { method: "OTHER", path: unmatchedRoute, scope: "open" });

  function refuse(request: HttpRequest, reply: HttpReply): void {
    if (request.method === "OPTIONS" && request.raw.url === "*") {
      reply.code(204).header("allow", allowedAnywhere).send();
      return;
    }
    const allowed = methodsOf(app, request.raw.url ?? "/");
    // A route that has the method and passed the request on has looked and found nothing.
    const known = allowed.some((method) => method === request.method);
    if (allowed.length === 0 || known) return sendProblem(reply, "not_found");
    const allow = [...allowed, "OPTIONS"].join(", ");
    if (request.method === "OPTIONS") {
      reply.code(204).header("allow", allow).send();
      return;
    }
    sendProblem(reply, "method_not_allowed", {
      detail: `this path knows ${allow}`,
      headers: { allow },
    });
  }

  // In a scope of its own, so that the hook runs for nothing but unmatched requests.
  app.register((instance, _options, done) => {
    // The plugin types know Node's own request class only.
    const scope = instance as unknown as HttpApp;
    scope.addHook("onRequest", (request, reply, next) =>
      guard(request, reply, (error) => {
        if (error !== undefined) next(error);
        else if (!context.cors.answerPreflight(request, reply)) refuse(request, reply);
      }),
    );
    // Reached when a route finds nothing and passes on, as static files do.
    scope.setNotFoundHandler(refuse);
    done();
  });
}

function methodsOf(app: HttpApp, url: string): readonly string[] {
  const path = url.split("?", 1)[0] ?? "/";
  return methods.filter((method) => app.findRoute({ method, url: path }) !== null);
}
