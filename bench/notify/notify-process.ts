import { markedContent } from "../gateway/messages.ts";
import { obeyLoads } from "../gateway/sending-process.ts";
import { Connection } from "../ingest/connection.ts";
import type { Lane } from "../send/send-load.ts";
import { SendRun } from "../send/send-run.ts";
import type { NotifyLoad, NotifyResult } from "./notify-load.ts";
import { notifyRequest } from "./requests.ts";

/** Keep-alive connections, each with one request on its way at a time. */
const connections = 64;
const accepted = 202;
/** The key of a marker that is nobody's own. */
const everybody = 0;

type OpenLane = Disposable & { readonly post: (request: Buffer) => Promise<boolean> };

function openLane(port: number): OpenLane {
  let answer: (accepted: boolean) => void = () => undefined;
  const connection = new Connection(port, { onAnswer: (_, status) => answer(status === accepted) });
  return {
    post: (request) => {
      connection.send(request);
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
    [Symbol.dispose]: () => connection.close(),
  };
}

async function notifyEach(load: NotifyLoad & { readonly kind: "each" }): Promise<NotifyResult> {
  using opened = new DisposableStack();
  const targets = new Map(load.targets.map((target) => [target.id, [target]]));
  const lanes = Array.from({ length: connections }, (): Lane => {
    const { post } = opened.use(openLane(load.port));
    return { send: (id, message) => post(notifyRequest(load, targets.get(id) ?? [], message)) };
  });
  return await new SendRun({ ...load, ids: [...targets.keys()] }).run(lanes);
}

/** One request for everybody. Its time begins when it is written, as does that in its marker. */
async function notifyAll(load: NotifyLoad & { readonly kind: "all" }): Promise<NotifyResult> {
  using lane = openLane(load.port);
  const begunAt = performance.now();
  const message = markedContent(everybody, load.number, process.hrtime.bigint());
  const done = await lane.post(notifyRequest(load, load.targets, message));
  const ms = performance.now() - begunAt;
  return { accepted: done ? 1 : 0, failed: done ? 0 : 1, perSecond: 1_000 / ms, p50: ms, p99: ms };
}

obeyLoads(0, (load: NotifyLoad) => (load.kind === "each" ? notifyEach(load) : notifyAll(load)));
