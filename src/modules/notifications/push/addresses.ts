import { BlockList, isIP } from "node:net";

/** Networks of IPv4 that the internet does not route, or that are for special purposes (RFC 6890). */
const special4 = new BlockList();
for (const network of [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
]) {
  const [address = "", prefix] = network.split("/");
  special4.addSubnet(address, Number(prefix), "ipv4");
}

/** Of IPv6 only this is routed, ... */
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");
/** ... but for what has a special purpose, tunnels to any IPv4 address among it. */
const special6 = new BlockList();
special6.addSubnet("2001::", 23, "ipv6");
special6.addSubnet("2001:db8::", 32, "ipv6");
special6.addSubnet("2002::", 16, "ipv6");
special6.addSubnet("3fff::", 20, "ipv6");
/** Where a network of IPv6 alone reaches IPv4 (RFC 6052): the last four bytes are the address. */
const translated = new BlockList();
translated.addSubnet("64:ff9b::", 96, "ipv6");

/** Whether it is an address of the internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special4.check(address, "ipv4");
  if (family !== 6) return false;
  if (translated.check(address, "ipv6")) return isPublicAddress(lastFour(address));
  return global6.check(address, "ipv6") && !special6.check(address, "ipv6");
}

/** The last four bytes of an IPv6 address, as an IPv4 address. */
function lastFour(address: string): string {
  const dotted = /:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  if (dotted !== undefined) return dotted;
  // As URLs have it, shortened: "64:ff9b::a00:1".
  const [high = "0", low = "0"] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split(":").slice(-2);
  const number = (part: string): number => Number.parseInt(part === "" ? "0" : part, 16);
  return [number(high) >> 8, number(high) & 255, number(low) >> 8, number(low) & 255].join(".");
}
