import type { Deps, Module } from "../../../deps.ts";
import { followForPush } from "./follow.ts";
import { createPushHosts } from "./hosts.ts";
import { pushRoutes } from "./routes.ts";
import { PushSender } from "./send.ts";
import { createVapid } from "./vapid.ts";

/** How often it is looked for pushes that are due, milliseconds. */
const lookEveryMs = 1_000;

/** Web push: whoever has no connection hears of notifications through their browser's push service. */
export function createPush(deps: Deps): Pick<Module, "routes" | "consumers" | "timers"> {
  const hosts = createPushHosts(deps.config.webPushHosts);
  const vapid = createVapid(deps);
  const log = deps.log.child({ room: "web push" });
  const sender = new PushSender({ ...deps, log, hosts, vapid });
  return {
    routes: pushRoutes({ ...deps, hosts, vapid }),
    consumers: [followForPush()],
    timers: [{ name: "web push", everyMs: lookEveryMs, apart: true, run: (signal) => sender.run(signal) }],
  };
}
