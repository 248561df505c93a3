/**
 * The most that one leg may move, in minor units. Every amount up to it has at most 15 significant digits, and such a number
 * is the same after it has travelled through JSON as a double. A JSON number with more digits is not, and nobody notices: see
 * `amountOfNumber`.
 */
export const amountMax = 999_999_999_999_999n;

/** Decimals of a major unit that a currency may have. */
export const scaleMax = 4;

/** Longest text that is read as an amount, in UTF-16 units. */
export const amountTextLength = 40;

export const amountFaults = {
  not_a_number: "it is not a number",
  not_positive: "it is not more than nothing",
  too_many_decimals: "it has more decimals than the currency",
  too_large: "it is more than can be moved at once",
} as const;

export type AmountFault = keyof typeof amountFaults;

/**
 * The minor units that a JSON number of major units means (15.5 is 1550n at scale 2), or why it means none. One with more than 15
 * significant digits was rounded when it was parsed: 15.000000000000000001 comes here as 15. Who wants that refused sends a text.
 */
export function amountOfNumber(value: number, scale: number): bigint | AmountFault {
  if (Number.isNaN(value)) return "not_a_number";
  if (value <= 0) return "not_positive";
  if (!Number.isFinite(value)) return "too_large";
  // The shortest decimal that is this double: what its sender wrote, if that had at most 15 significant digits. It is never
  // multiplied: 1.005 * 100 is not 100.5.
  const [mantissa = "", exponent = "0"] = String(value).split("e");
  const [whole = "", decimals = ""] = mantissa.split(".");
  return amountOfDigits(whole + decimals, Number(exponent) - decimals.length, scale);
}

/** The same of a decimal text such as `15.50`. */
export function amountOfText(text: string, scale: number): bigint | AmountFault {
  if (text.length > amountTextLength) return "not_a_number";
  const match = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?$/.exec(text);
  if (match === null) return "not_a_number";
  const [, sign, whole = "", decimals = ""] = match;
  if (sign === "-") return "not_positive";
  return amountOfDigits(whole + decimals, -decimals.length, scale);
}

/** The decimal text of an amount, or of a balance, in major units: 1550n is `15.50` at scale 2. */
export function textOfAmount(amount: bigint, scale: number): string {
  const sign = amount < 0n ? "-" : "";
  const digits = String(amount < 0n ? -amount : amount).padStart(scale + 1, "0");
  if (scale === 0) return sign + digits;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Of `digits` times ten to the power of `exponent`. */
function amountOfDigits(digits: string, exponent: number, scale: number): bigint | AmountFault {
  const significant = digits.replace(/^0+/, "").replace(/0+$/, "");
  if (significant === "") return "not_positive";
  const zeros = digits.length - digits.replace(/0+$/, "").length + exponent + scale;
  if (zeros < 0) return "too_many_decimals";
  // Before it is made: a number may have 308 zeros.
  if (significant.length + zeros > String(amountMax).length) return "too_large";
  return BigInt(significant + "0".repeat(zeros));
}
