/** Longest text taken for an address: a trusted proxy passes on what its client wrote. */
const addressLengthMax = 64;

/** The address as an IPv4 one where it is only dressed up as IPv6. */
export function plainAddress(ip: string | undefined): string {
  if (ip === undefined) return "unknown";
  if (ip.length > addressLengthMax) return ip.slice(0, addressLengthMax);
  return ip.startsWith("::ffff:") && ip.includes(".") ? ip.slice(7) : ip;
}

/**
 * What a limit per address counts by: the address, or for IPv6 its /64, since whoever has one such address has
 * all of them.
 */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const [left = "", right] = address.split("::");
  const head = left === "" ? [] : left.split(":");
  if (right === undefined) return head.slice(0, 4).join(":");
  const tail = right === "" ? [] : right.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => "0");
  return [...head, ...zeros, ...tail].slice(0, 4).join(":");
}
