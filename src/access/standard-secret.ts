export const standardSecretRule = "whsec_ followed by 24 to 64 bytes in base64";

/**
 * Whether it is a secret of Standard Webhooks of which every library reads the same bytes: what is not base64 to the last
 * character, each reads its own way.
 */
export function isStandardSecret(secret: string): boolean {
  if (!secret.startsWith("whsec_")) return false;
  const text = secret.slice("whsec_".length);
  const bytes = Buffer.from(text, "base64");
  const canonical = bytes.toString("base64");
  const right = text === canonical || text === canonical.replaceAll("=", "");
  return right && bytes.length >= 24 && bytes.length <= 64;
}
