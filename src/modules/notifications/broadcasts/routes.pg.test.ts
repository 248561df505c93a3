import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv7 } from "../../../../protocol/ids.ts";
import type { RouteRequest } from "../../../deps.ts";
import { createLogger } from "../../../lib/logger.ts";
import { openBroadcastStage } from "./broadcasts.fixture.ts";
import { broadcastRoutes } from "./routes.ts";

test("what is withdrawn is logged, and what never was or has ended is not", async () => {
  const { broadcasts, tell } = await openBroadcastStage();
  const lines: { readonly broadcast?: string }[] = [];
  const log = createLogger("info", { write: (line) => lines.push(JSON.parse(line) as object) });
  const route = broadcastRoutes({ broadcasts, log }).find(({ method }) => method === "DELETE");
  assert.ok(route !== undefined);
  const id = await tell();
  for (const broadcast_id of [uuidv7(), id, id]) {
    const request: Partial<RouteRequest> = {
      actor: { kind: "key", id: 1, name: "ops", scopes: new Set(), sourceId: undefined },
      params: { broadcast_id },
      requestId: "request-1",
    };
    assert.equal((await route.handler(request as RouteRequest)).status, 204);
  }
  assert.deepEqual(
    lines.map(({ broadcast }) => broadcast),
    [id],
  );
});
