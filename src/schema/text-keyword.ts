/**
 * The schema keyword `"x-text": { min, max }` for what a person wrote: its length in Unicode code points without the
 * white space around it, no NUL (PostgreSQL's text cannot hold it), and no lone surrogate (UTF-8 cannot).
 */
export const textKeyword = "x-text";

type TextRule = { readonly min: number; readonly max: number };
type TextFault = { readonly code: string; readonly detail: string };

type KeywordError = {
  readonly keyword: string;
  readonly message: string;
  readonly params: TextFault;
};

function checkText(rule: TextRule, value: string): boolean {
  const fault = textFault(value, rule);
  checkText.errors =
    fault === undefined ? [] : [{ keyword: textKeyword, message: fault.detail, params: fault }];
  return fault === undefined;
}
checkText.errors = [] as KeywordError[];

export const textKeywordDefinition = {
  keyword: textKeyword,
  type: "string",
  schemaType: "object",
  errors: "full",
  validate: checkText,
} as const;

/** What is wrong with a text, or undefined. */
export function textFault(value: string, { min, max }: TextRule): TextFault | undefined {
  if (value.includes("\0")) return { code: "text", detail: "must not contain NUL characters" };
  if (!value.isWellFormed()) return { code: "text", detail: "must not contain lone surrogates" };
  const trimmed = value.trim();
  if (trimmed.length < min) return { code: "min_length", detail: tooShort(min) };
  // There are never more code points than units, so only long texts are counted.
  if (trimmed.length <= max && min <= 1) return undefined;
  const length = trimmed.length > max * 2 ? trimmed.length : codePoints(trimmed);
  if (length < min) return { code: "min_length", detail: tooShort(min) };
  if (length > max) return { code: "max_length", detail: `must have at most ${max} characters` };
  return undefined;
}

function tooShort(min: number): string {
  return min === 1 ? "must not be empty" : `must have at least ${min} characters`;
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
