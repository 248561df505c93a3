import { errorMessage } from "../../src/lib/errors.ts";
import { openHttpLanes } from "./http-lanes.ts";
import type { SendAnswer, SendLoad, SendResult } from "./send-load.ts";
import { SendRun } from "./send-run.ts";
import { openSocketLanes } from "./socket-lanes.ts";

async function send(load: SendLoad): Promise<SendResult> {
  using open = await (load.via === "http" ? openHttpLanes(load) : openSocketLanes(load));
  return await new SendRun(load).run(open.lanes);
}

process.on("message", (load: SendLoad) => {
  void send(load)
    .then((result): SendAnswer => ({ kind: "sent", result }))
    .catch((error: unknown): SendAnswer => ({ kind: "fault", detail: errorMessage(error) }))
    .then((answer) => process.send?.(answer));
});
process.on("disconnect", () => process.exit());
