import { Type } from "typebox";
import { limits } from "./limits.ts";

/** What operations people see of the event log: dead letters and consumer groups. */

const strict = { additionalProperties: false } as const;
const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Group = Type.String({
  pattern: `^[a-z][a-z0-9._-]{0,${limits.nameLength - 1}}$`,
  "x-detail": "the name of a consumer group",
});

const deadLetterFields = {
  id,
  group: Type.String(),
  entry_id: Type.String({ format: "uuid" }),
  topic: Type.String(),
  type: Type.String(),
  time: Type.String({ format: "date-time", description: "when the log accepted the entry" }),
  attempts: Type.Integer(),
  error: Type.String({ description: "what the last attempt ended with" }),
  parked_at: Type.String({
    format: "date-time",
    description: "when the last attempt failed and it was given up",
  }),
  waiting_behind: Type.Integer({ description: "later entries of the topic that wait for this one" }),
};

export const DeadLetter = Type.Object(deadLetterFields, {
  ...strict,
  description: "An entry that was given up after the last attempt",
});
export const DeadLetterDetail = Type.Object(
  { ...deadLetterFields, data: Type.Unknown({ description: "the entry's data, as it was appended" }) },
  { ...strict, description: "A dead letter with its data" },
);
export const DeadLetterQuery = Type.Object(
  {
    group: Type.Optional(Group),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: limits.pageRows, default: limits.pageRowsDefault }),
    ),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  strict,
);
export type DeadLetterQuery = Type.Static<typeof DeadLetterQuery>;
export const DeadLetterPage = Type.Object(
  { dead_letters: Type.Array(DeadLetter), next_cursor: Type.Union([Type.String(), Type.Null()]) },
  { ...strict, description: "A page of dead letters" },
);
export const DeadLetterParams = Type.Object({ id }, strict);
export type DeadLetterParams = Type.Static<typeof DeadLetterParams>;
/** All dead letters of a group. */
export const RetryAll = Type.Object({ group: Group }, strict);
export type RetryAll = Type.Static<typeof RetryAll>;
export const Retried = Type.Object(
  { retried: Type.Integer() },
  {
    ...strict,
    description: "They are due again; an owner of their partitions takes them up within a second",
  },
);

/** Where a group stands in one partition of the log. */
const ConsumerPartition = Type.Object(
  {
    partition: Type.Integer(),
    lag_entries: Type.Integer(),
    lag_seconds: Type.Number(),
    parked: Type.Integer(),
    dead: Type.Integer(),
    stopped: Type.Union([Type.Literal("expired"), Type.Literal("full"), Type.Null()], {
      description:
        "why nobody reads it until a person acts: `expired`, retention has removed entries that the group had not read; " +
        "`full`, too many entries are parked",
    }),
  },
  strict,
);
export const ConsumerGroup = Type.Object(
  {
    group: Type.String(),
    lag_entries: Type.Integer(),
    lag_seconds: Type.Number({ description: "age of the oldest entry that it has not looked at" }),
    parked: Type.Integer({ description: "entries that wait to be tried again" }),
    dead: Type.Integer(),
    owners: Type.Integer({ description: "processes that work on it" }),
    partitions: Type.Array(ConsumerPartition),
  },
  strict,
);
export const ConsumerGroupList = Type.Object(
  { groups: Type.Array(ConsumerGroup) },
  { ...strict, description: "Every consumer group" },
);
