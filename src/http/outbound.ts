import { type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { InboundRequest } from "./inbound.ts";
import type { Load } from "./load.ts";

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

/** A response that knows what changes once the answer is decided, whoever writes it. */
export class OutboundResponse extends ServerResponse<InboundRequest> {
  load: Load | undefined = undefined;

  override writeHead(status: number, reason?: string | Headers, headers?: Headers): this {
    const { load, req } = this;
    // From here on the request waits for nobody but the client, who may take its time.
    load?.rest(req);
    // Asked at the end: the server may have begun to stop meanwhile. A body that was announced and not asked for may
    // come all the same, or not: the connection cannot go on.
    if (load?.draining === true || req.askForBody !== undefined) this.setHeader("connection", "close");
    if (typeof reason === "string") return super.writeHead(status, reason, headers);
    return super.writeHead(status, reason);
  }
}
