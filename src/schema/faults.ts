import type { FieldError } from "../../protocol/errors.ts";
import { textKeyword } from "./text-keyword.ts";

/**
 * What the validator found. With `verbose` it also names the schema that was broken, and there a property may bring
 * its own words: `"x-detail"` completes the sentence "must be …", for example
 * `{ type: "string", pattern: "^[0-9a-f]{32}$", "x-detail": "32 hexadecimal digits" }`.
 */
export type Violation = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** What is wrong is this name of a field, not what stands under it. */
  readonly propertyName?: string;
  readonly parentSchema?: Readonly<Record<string, unknown>>;
};

/** The schema keyword that holds a property's own words. */
export const detailKeyword = "x-detail";

/** Longest pointer that is repeated to the client; unknown fields may have names of any length. */
const pointerLengthMax = 200;

/** Violations that are looked at: a body of a megabyte can hold very many, and sorting out unions is quadratic. */
const violationsMax = 500;

/** One entry per bad field, in the order in which they were found. */
export function fieldErrors(violations: readonly Violation[]): FieldError[] {
  const byPointer = new Map<string, FieldError>();
  for (const violation of withoutBranches(violations.slice(0, violationsMax))) {
    const pointer = pointerOf(violation);
    // Of something of another type, whatever else is wrong follows from that.
    const isSaid = !byPointer.has(pointer) || violation.keyword === "type";
    if (isSaid) byPointer.set(pointer, { pointer, ...explain(violation) });
  }
  return [...byPointer.values()];
}

/** What is wrong with one field, in a sentence; `whole` is what an empty pointer points to. */
export function sentenceOf({ pointer, detail }: FieldError, whole: string): string {
  return `${pointer === "" ? whole : pointer} ${detail}`;
}

/**
 * Drops what each branch of a union complains about: the union's own entry says it once. Where only null stands beside one
 * form and something of that form was sent, it is what that form complains about that helps.
 */
function withoutBranches(violations: readonly Violation[]): readonly Violation[] {
  const unions = violations.filter(({ keyword }) => keyword === "anyOf" || keyword === "oneOf");
  if (unions.length === 0) return violations;
  const dropped = new Set<Violation>();
  for (const union of unions) {
    const within = violations.filter(
      ({ schemaPath, instancePath }) =>
        schemaPath.startsWith(`${union.schemaPath}/`) && instancePath.startsWith(union.instancePath),
    );
    const helpful = complaintsBesideNull(union, within);
    if (helpful.length > 0) dropped.add(union);
    for (const violation of within) if (!helpful.includes(violation)) dropped.add(violation);
  }
  return violations.filter((violation) => !dropped.has(violation));
}

function complaintsBesideNull(
  { keyword, schemaPath, instancePath, parentSchema }: Violation,
  within: readonly Violation[],
): readonly Violation[] {
  const branches: unknown = parentSchema?.[keyword];
  if (!Array.isArray(branches) || branches.length !== 2) return [];
  const form = branches.findIndex((branch: { type?: unknown }) => branch.type !== "null");
  if (branches.every((branch: { type?: unknown }) => branch.type !== "null")) return [];
  const own = within.filter((violation) => violation.schemaPath.startsWith(`${schemaPath}/${form}/`));
  const isOfForm = own.every((found) => found.keyword !== "type" || found.instancePath !== instancePath);
  return isOfForm ? own : [];
}

function pointerOf({ instancePath, params, propertyName }: Violation): string {
  const name =
    propertyName ??
    params["propertyName"] ??
    params["missingProperty"] ??
    params["additionalProperty"] ??
    params["unevaluatedProperty"];
  const pointer =
    typeof name === "string"
      ? `${instancePath}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`
      : instancePath;
  return pointer.slice(0, pointerLengthMax);
}

function explain(violation: Violation): Omit<FieldError, "pointer"> {
  const { keyword, parentSchema = {} } = violation;
  if (keyword === "required" || keyword === "dependentRequired") {
    return { code: "required", detail: "is required" };
  }
  if (keyword === "additionalProperties" || keyword === "unevaluatedProperties") {
    return { code: "unknown_field", detail: "is not a known field" };
  }
  if (keyword === textKeyword) {
    const { code, detail } = violation.params;
    return { code: String(code), detail: String(detail) };
  }
  const code = codeOf(violation);
  const own = parentSchema[detailKeyword];
  const must = violation.propertyName === undefined ? "must be" : "must be named with";
  return { code, detail: `${must} ${typeof own === "string" ? own : standardDetail(violation)}` };
}

const codes: Readonly<Record<string, string>> = {
  type: "type",
  pattern: "pattern",
  format: "format",
  minLength: "min_length",
  maxLength: "max_length",
  minItems: "min_items",
  maxItems: "max_items",
  uniqueItems: "unique_items",
  minProperties: "min_properties",
  maxProperties: "max_properties",
  minimum: "range",
  maximum: "range",
  exclusiveMinimum: "range",
  exclusiveMaximum: "range",
  multipleOf: "range",
  enum: "enum",
  const: "enum",
};

function codeOf({ keyword, params, parentSchema }: Violation): string {
  const known = codes[keyword];
  if (known !== undefined) return known;
  if (keyword === "oneOf" && isChoice(parentSchema?.[keyword]))
    return params["passingSchemas"] === null ? "required" : "exclusive";
  if (keyword === "anyOf" || keyword === "oneOf") {
    return literals(parentSchema?.[keyword]) === undefined ? "type" : "enum";
  }
  return "invalid";
}

/** What completes "must be …". Speaks of the schema only, never of the value. */
function standardDetail({ keyword, params, parentSchema }: Violation): string {
  const limit = String(params["limit"]);
  switch (keyword) {
    case "type":
      return typeName(params["type"]);
    case "pattern":
      return `text that matches ${String(params["pattern"])}`;
    case "format":
      return `of the format ${String(params["format"])}`;
    case "minLength":
      return `at least ${limit} ${limit === "1" ? "character" : "characters"} long`;
    case "maxLength":
      return `at most ${limit} ${limit === "1" ? "character" : "characters"} long`;
    case "minItems":
      return `a list of at least ${limit}`;
    case "maxItems":
      return `a list of at most ${limit}`;
    case "uniqueItems":
      return "a list without repetitions";
    case "minProperties":
      return `an object of at least ${limit} ${limit === "1" ? "field" : "fields"}`;
    case "maxProperties":
      return `an object of at most ${limit} ${limit === "1" ? "field" : "fields"}`;
    case "minimum":
      return `at least ${limit}`;
    case "maximum":
      return `at most ${limit}`;
    case "exclusiveMinimum":
      return `more than ${limit}`;
    case "exclusiveMaximum":
      return `less than ${limit}`;
    case "multipleOf":
      return `a multiple of ${String(params["multipleOf"])}`;
    case "enum":
      return `one of ${(params["allowedValues"] as readonly unknown[]).join(", ")}`;
    case "const":
      return String(params["allowedValue"]);
    case "anyOf":
    case "oneOf": {
      const allowed = literals(parentSchema?.[keyword]);
      return allowed === undefined ? "of one of the allowed forms" : `one of ${allowed.join(", ")}`;
    }
    default:
      return "what the schema allows";
  }
}

/** Whether each branch says nothing but which fields there must be: a rule for one form, not forms of their own. */
function isChoice(branches: unknown): boolean {
  return (
    Array.isArray(branches) && branches.every((branch: object) => Object.keys(branch).join() === "required")
  );
}

/** The values of a union of literals, or undefined when it is a union of anything else. */
function literals(branches: unknown): readonly string[] | undefined {
  if (!Array.isArray(branches)) return undefined;
  const values: readonly unknown[] = branches.map((branch: { const?: unknown }) => branch.const);
  return values.every((value) => value !== undefined) ? values.map(String) : undefined;
}

const typeNames: Readonly<Record<string, string>> = {
  string: "a string",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  object: "an object",
  array: "a list",
  null: "null",
};

function typeName(type: unknown): string {
  const types = Array.isArray(type) ? type.map(String) : String(type).split(",");
  return types.map((one) => typeNames[one] ?? one).join(" or ");
}
