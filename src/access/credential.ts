import { AppError } from "../lib/errors.ts";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/**
 * The one credential that a request shows, if it shows one: `Authorization: Bearer`, `X-Api-Key`, or what its URL holds
 * where browsers can send no header. Other schemes of `Authorization` are not ours to read. Throws `AppError`
 * `unauthorized` for several that differ.
 */
export function credentialOf(headers: Headers, inUrl: readonly string[] = []): string | undefined {
  const { authorization, "x-api-key": apiKey } = headers;
  const inHeaders = [bearerOf(authorization), apiKey].flat().filter((text) => text !== undefined);
  const found = [...inHeaders, ...inUrl.filter((text) => text !== "")];
  const [first] = found;
  // Several headers of one name arrive joined by commas, and no credential has one.
  if (inHeaders.some((text) => text.includes(",")) || found.some((other) => other !== first)) {
    throw new AppError("unauthorized", { detail: "more than one credential was sent" });
  }
  return first;
}

const scheme = "bearer ";

function bearerOf(header: string | string[] | undefined): string | undefined {
  if (typeof header !== "string" || header.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  return header.slice(scheme.length).trim();
}
