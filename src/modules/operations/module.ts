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
import type { Deps, Module, Route } from "../../deps.ts";
import { groupStates } from "../../eventlog/consumer-admin.ts";
import * as deadLetters from "../../eventlog/dead-letters.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";

/** What people on call need of the event log over HTTP. */
export function createOperations(deps: Pick<Deps, "db" | "eventlog">): Module {
  return {
    name: "operations",
    routes: [...readRoutes(deps), ...changeRoutes(deps), groupRoute(deps)],
    consumers: [],
    timers: [{ name: "event log", everyMs: 60_000, run: () => deps.eventlog.maintain() }],
  };
}

const tag = "operations";

function toView(letter: deadLetters.DeadLetter) {
  return {
    id: letter.id,
    group: letter.group,
    entry_id: letter.entryId,
    topic: letter.topic,
    type: letter.type,
    time: letter.time.toISOString(),
    attempts: letter.attempts,
    error: letter.error,
    parked_at: letter.parkedAt.toISOString(),
    waiting_behind: letter.waitingBehind,
  };
}

const scope = "deadletters:manage";

function idOf(params: unknown): number {
  return (params as DeadLetterParams).id;
}

function readRoutes({ db }: Pick<Deps, "db">): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/api/v1/dead-letters",
      scope,
      summary: "List dead letters, the newest first",
      tag,
      query: DeadLetterQuery,
      responses: { 200: DeadLetterPage },
      handler: async ({ query }) => {
        const { group, cursor, limit = limits.pageRowsDefault } = query as DeadLetterQuery;
        const [before] = cursor === undefined ? [] : decodeCursor(cursor, ["number"]);
        const page = await deadLetters.listDeadLetters(db, {
          limit,
          ...(group === undefined ? {} : { group }),
          ...(before === undefined ? {} : { before: Number(before) }),
        });
        const next = page.next === undefined ? null : encodeCursor([page.next]);
        return { status: 200, body: { dead_letters: page.deadLetters.map(toView), next_cursor: next } };
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
      handler: async ({ params }) => {
        const letter = await deadLetters.showDeadLetter(db, idOf(params));
        return {
          status: 200,
          json: JSON.stringify({ ...toView(letter), data: JSON.parse(letter.data) as unknown }),
        };
      },
    },
  ];
}

function changeRoutes({ db }: Pick<Deps, "db">): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/api/v1/dead-letters/:id/retry",
      scope,
      summary: "Try a dead letter again, and after it those that wait behind it",
      tag,
      params: DeadLetterParams,
      responses: { 202: Retried },
      handler: async ({ params }) => ({
        status: 202,
        body: { retried: await deadLetters.retryDeadLetters(db, { id: idOf(params) }) },
      }),
    },
    {
      method: "POST",
      path: "/api/v1/dead-letters/retry",
      scope,
      summary: "Try all dead letters of a group again",
      tag,
      body: RetryAll,
      responses: { 202: Retried },
      handler: async ({ body }) => ({
        status: 202,
        body: { retried: await deadLetters.retryDeadLetters(db, { group: (body as RetryAll).group }) },
      }),
    },
    {
      method: "DELETE",
      path: "/api/v1/dead-letters/:id",
      scope,
      summary: "Give a dead letter up for good; those that wait behind it go on",
      tag,
      params: DeadLetterParams,
      responses: { 200: DeadLetter },
      handler: async ({ params }) => ({
        status: 200,
        body: toView(await deadLetters.dropDeadLetter(db, idOf(params))),
      }),
    },
  ];
}

function groupRoute({ db }: Pick<Deps, "db">): Route {
  return {
    method: "GET",
    path: "/api/v1/consumers",
    scope: "stats:read",
    summary: "Where every consumer group stands",
    tag,
    responses: { 200: ConsumerGroupList },
    handler: async () => {
      const groups = (await groupStates(db)).map((state) => ({
        group: state.group,
        lag_entries: state.lagEntries,
        lag_seconds: state.lagSeconds,
        parked: state.parked,
        dead: state.dead,
        owners: state.owners,
      }));
      return { status: 200, body: { groups } };
    },
  };
}
