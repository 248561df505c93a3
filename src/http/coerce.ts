import type { TSchema } from "typebox";

type Coercer = (text: string) => unknown;

/**
 * Makes the function that turns the texts of a query or a path into what their schema asks for. A text that cannot be
 * turned stays as it is, for the validator to refuse. Bodies are never coerced: JSON has types.
 */
export function createCoercion(
  schema: TSchema | undefined,
): ((values: Record<string, unknown>) => void) | undefined {
  const properties: Readonly<Record<string, unknown>> =
    schema !== undefined && "properties" in schema ? Object(schema.properties) : {};
  const scalars = new Map<string, Coercer>();
  const lists = new Map<string, Coercer>();
  for (const [name, property] of Object.entries(properties)) {
    const { type, items } = property as { type?: unknown; items?: { type?: unknown } };
    if (type === "array") lists.set(name, coercerOf(items?.type) ?? String);
    const coercer = coercerOf(type);
    if (coercer !== undefined) scalars.set(name, coercer);
  }
  if (scalars.size === 0 && lists.size === 0) return undefined;

  return (values) => {
    for (const [name, coerce] of scalars) {
      const value = values[name];
      if (typeof value === "string") values[name] = coerce(value);
    }
    for (const [name, coerce] of lists) {
      const value = values[name];
      if (value === undefined) continue;
      const texts: unknown[] = Array.isArray(value) ? value : [value];
      values[name] = texts.map((text) => (typeof text === "string" ? coerce(text) : text));
    }
  };
}

function coercerOf(type: unknown): Coercer | undefined {
  switch (type) {
    case "integer":
      return (text) => (/^-?\d{1,16}$/.test(text) ? Number(text) : text);
    case "number":
      return (text) => (/^-?\d{1,16}(\.\d{1,16})?$/.test(text) ? Number(text) : text);
    case "boolean":
      return (text) => (text === "true" ? true : text === "false" ? false : text);
    default:
      return undefined;
  }
}
