import type { ErrorCode, FieldError } from "../../protocol/errors.ts";
import { AppError } from "../lib/errors.ts";
import { type Violation, fieldErrors, sentenceOf } from "../schema/faults.ts";

const codes: Readonly<Record<string, ErrorCode>> = {
  body: "invalid_body",
  querystring: "invalid_query",
  params: "invalid_path",
  headers: "invalid_header",
};

/** The refusal for what the validator found in one part of the request. */
export function violationError(violations: readonly Violation[], part: string): AppError {
  const found = fieldErrors(violations);
  const fields = part === "body" ? found : found.map(named);
  return new AppError(codes[part] ?? "invalid_body", { detail: summary(fields, part), fields });
}

/** Query and path have no depth: their pointer is the parameter's name. */
function named(field: FieldError): FieldError {
  const name = field.pointer.split("/")[1] ?? "";
  return { ...field, pointer: name.replaceAll("~1", "/").replaceAll("~0", "~") };
}

function summary(fields: readonly FieldError[], part: string): string {
  const [first] = fields;
  if (first === undefined) return "does not fit the schema";
  const rest = fields.length - 1;
  return `${sentenceOf(first, `the ${part}`)}${rest === 0 ? "" : `, and ${rest} more (see errors)`}`;
}
