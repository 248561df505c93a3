import { errorMessage } from "../../src/lib/errors.ts";
import type { Answer, Command } from "./load.ts";
import { LoadRun } from "./load-run.ts";
import { WebhookRequests } from "./webhook-requests.ts";

let requests = new WebhookRequests(1);
const acknowledged = { count: 0, sum: 0 };

function noteAccepted(number: number): void {
  acknowledged.count++;
  acknowledged.sum += number;
}

async function obey(command: Command): Promise<Answer> {
  switch (command.kind) {
    case "prepare": {
      requests = new WebhookRequests(requests.numberAt(requests.count));
      requests.prepare(command.count, command.sourceName, command.secret);
      return { kind: "prepared" };
    }
    case "run":
      return { kind: "result", result: await new LoadRun(requests, command, noteAccepted).run() };
    case "acknowledged":
      return { kind: "acknowledged", ...acknowledged };
    default:
      throw new TypeError(`unknown command ${String(command satisfies never)}`);
  }
}

process.on("message", (command: Command) => {
  void obey(command)
    .catch((error: unknown): Answer => ({ kind: "fault", detail: errorMessage(error) }))
    .then((answer) => process.send?.(answer));
});
process.on("disconnect", () => process.exit());
