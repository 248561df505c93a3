import { hash } from "node:crypto";

/**
 * A UUIDv8 (RFC 9562) derived from the caller's own key: equal keys give equal ids on every server, without a look-up.
 * Not v7: the key carries no time, and an id that depended on one would change with a sender's clock.
 */
export function derivedId(namespace: string, key: string): string {
  const hex = hash("sha256", `${namespace}\n${key}`, "hex");
  const variant = "89ab"[Number.parseInt(hex[16] ?? "0", 16) & 3] ?? "8";
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
