import { Ajv, type ValidateFunction } from "ajv";
import type { TSchema } from "typebox";
import type { FieldError } from "../../protocol/errors.ts";
import { detailKeyword, fieldErrors, type Violation } from "./faults.ts";
import { textKeywordDefinition } from "./text-keyword.ts";

/**
 * How schemas are applied, over HTTP and over sockets: every fault is reported, nothing is removed, nothing coerced.
 */
export const validatorOptions = {
  allErrors: true,
  coerceTypes: false,
  removeAdditional: false,
  strictTypes: false,
  verbose: true,
  keywords: [detailKeyword, textKeywordDefinition],
} as const;

/** What is wrong with a value, one entry per bad field; undefined when nothing is. */
export type Check = (value: unknown) => readonly FieldError[] | undefined;

/** Makes the function that holds values to a schema. */
export function createCheck(schema: TSchema): Check {
  const validate: ValidateFunction = ajv.compile(schema);
  return (value) => (validate(value) ? undefined : fieldErrors((validate.errors ?? []) as Violation[]));
}

const ajv = new Ajv({
  ...validatorOptions,
  keywords: [...validatorOptions.keywords],
  // Formats stand beside patterns for those who read the schema; what arrives is judged by the few known here.
  formats: {
    uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
    "date-time": true,
  },
});
