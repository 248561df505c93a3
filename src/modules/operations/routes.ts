import {
  ConsumerGroupList,
  DeadLetter,
  DeadLetterDetail,
  DeadLetterPage,
  DeadLetterParams,
  DeadLetterQuery,
  Retried,
  RetryAll,
} from "../../../protocol/operations.ts";
import { limits } from "../../../protocol/limits.ts";
import { byWhom } from "../../access/actor.ts";
import type { Deps, Route } from "../../deps.ts";
import { groupStates } from "../../eventlog/consumer-admin.ts";
import * as deadLetters from "../../eventlog/dead-letters.ts";
import { deadLetterDetailJson, deadLetterPageView, deadLetterView, groupView } from "../../eventlog/views.ts";
import { pageOfDeadLetters, retryGroup } from "./dead-letter-pages.ts";

type RouteDeps = Pick<Deps, "db" | "log">;

const tag = "operations";
const scope = "deadletters:manage";

export function operationsRoutes(deps: RouteDeps): readonly Route[] {
  return [...readRoutes(deps), ...changeRoutes(deps), groupRoute(deps)];
}

function idOf(params: unknown): number {
  return (params as DeadLetterParams).id;
}

function readRoutes({ db }: RouteDeps): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/dead-letters",
      scope,
      summary: "List dead letters, the newest first",
      tag,
      query: DeadLetterQuery,
      responses: { 200: DeadLetterPage },
      errors: ["invalid_cursor", "not_found"],
      handler: async ({ query }) => {
        const { limit = limits.pageRowsDefault, ...filter } = query as DeadLetterQuery;
        const page = await pageOfDeadLetters(db, { limit, ...filter });
        return { status: 200, body: deadLetterPageView(page) };
      },
    },
    {
      method: "GET",
      path: "/api/v1/dead-letters/:id",
      scope,
      summary: "Show a dead letter with its data",
      tag,
      params: DeadLetterParams,
      responses: { 200: DeadLetterDetail },
      errors: ["not_found"],
      handler: async ({ params }) => {
        const letter = await deadLetters.showDeadLetter(db, idOf(params));
        return { status: 200, json: deadLetterDetailJson(letter) };
      },
    },
  ];
}

function changeRoutes({ db, log }: RouteDeps): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/api/v1/dead-letters/:id/retry",
      scope,
      summary: "Try a dead letter again, and after it those that wait behind it",
      tag,
      params: DeadLetterParams,
      responses: { 202: Retried },
      errors: ["not_found"],
      handler: async (request) => {
        const id = idOf(request.params);
        const retried = await deadLetters.retryDeadLetters(db, { id });
        log.info({ ...byWhom(request), id }, "dead letter retried");
        return { status: 202, body: { retried } };
      },
    },
    {
      method: "POST",
      path: "/api/v1/dead-letters/retry",
      scope,
      summary: "Try all dead letters of a group again",
      tag,
      body: RetryAll,
      responses: { 202: Retried },
      errors: ["not_found"],
      handler: async (request) => {
        const { group } = request.body as RetryAll;
        const retried = await retryGroup(db, group);
        log.info({ ...byWhom(request), group, retried }, "dead letters of a group retried");
        return { status: 202, body: { retried } };
      },
    },
    {
      method: "DELETE",
      path: "/api/v1/dead-letters/:id",
      scope,
      summary: "Give a dead letter up for good; those that wait behind it go on",
      tag,
      params: DeadLetterParams,
      responses: { 200: DeadLetter },
      errors: ["not_found"],
      handler: async (request) => {
        const letter = await deadLetters.dropDeadLetter(db, idOf(request.params));
        const { id, group, entryId } = letter;
        log.info({ ...byWhom(request), id, group, entry_id: entryId }, "dead letter dropped");
        return { status: 200, body: deadLetterView(letter) };
      },
    },
  ];
}

function groupRoute({ db }: RouteDeps): Route {
  return {
    method: "GET",
    path: "/api/v1/consumers",
    scope: "stats:read",
    summary: "Where every consumer group stands",
    tag,
    responses: { 200: ConsumerGroupList },
    handler: async () => {
      const groups = (await groupStates(db)).map(groupView);
      return { status: 200, body: { groups } };
    },
  };
}
