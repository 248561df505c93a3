import { obeyLoads } from "../gateway/sending-process.ts";
import { openHttpLanes } from "./http-lanes.ts";
import type { SendLoad, SendResult } from "./send-load.ts";
import { SendRun } from "./send-run.ts";
import { openSocketLanes } from "./socket-lanes.ts";

async function send(load: SendLoad): Promise<SendResult> {
  using open = await (load.via === "http" ? openHttpLanes(load) : openSocketLanes(load));
  return await new SendRun({ ...load, ids: load.roomIds }).run(open.lanes);
}

obeyLoads(0, send);
