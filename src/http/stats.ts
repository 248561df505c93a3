import { Type } from "typebox";
import type { Route } from "../deps.ts";

/** The route `GET /stats`; `provider` is asked anew each time and answers with anything that JSON can hold. */
export function statsRoute(provider: () => Promise<Readonly<Record<string, unknown>>>): Route {
  return {
    method: "GET",
    path: "/stats",
    scope: "stats:read",
    summary: "Figures of the server and its modules",
    tag: "operations",
    responses: { 200: Type.Record(Type.String(), Type.Unknown()) },
    handler: async () => ({ status: 200, body: await provider() }),
  };
}
