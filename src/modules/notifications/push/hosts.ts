import { lookup as lookUp } from "node:dns";
import { BlockList, type LookupFunction, isIP } from "node:net";

/**
 * Which addresses the server calls because a stranger says so: a browser's subscription is nothing but a text. Without a
 * list of hosts nothing in a private network is called, whatever leads there.
 */
export type PushHosts = {
  /** What is wrong with a subscription's endpoint, as far as its text says: completes the sentence "… must be". */
  fault(endpoint: string): string | undefined;
  /** Resolves names for the calls. Names that lead into a private network are as good as unknown. */
  readonly lookup: LookupFunction;
};

/** A name that leads to no address that may be called. */
export class PrivateAddressError extends Error {
  override readonly name = "PrivateAddressError";
  readonly code = "EPRIVATE";
}

/** `listed`: the hosts that may be called, wherever they are; if there are none, all that are in no private network. */
export function createPushHosts(listed: readonly string[]): PushHosts {
  return {
    fault: (endpoint) => {
      const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
      if (url === undefined || url.username !== "" || url.password !== "" || url.hash !== "")
        return "the address of a push service";
      const { hostname } = url;
      if (listed.length > 0 && !listed.some((item) => fits(hostname, item)))
        return "at a push service that this server may call";
      if (url.protocol !== "https:" && !(listed.length > 0 && isLoopbackName(hostname)))
        return "an address that begins with https://";
      if (listed.length === 0 && !isPublicName(hostname))
        return "at a push service, and not in a private network";
      return undefined;
    },
    lookup: listed.length > 0 ? lookUp : lookUpPublic,
  };
}

function fits(hostname: string, item: string): boolean {
  return item.startsWith("*.") ? hostname.endsWith(item.slice(1)) : hostname === item;
}

/** Of a literal address it is known at once; a name without a dot is that of a machine nearby. */
function isPublicName(hostname: string): boolean {
  const bare = bareOf(hostname);
  if (isIP(bare) !== 0) return isPublicAddress(bare);
  const name = bare.replace(/\.$/, "");
  return name.includes(".") && !/\.(localhost|local|internal|home\.arpa)$/.test(name);
}

function isLoopbackName(hostname: string): boolean {
  const bare = bareOf(hostname);
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

function bareOf(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

/** The addresses are looked at when a connection is made: a name may lead elsewhere from one moment to the next. */
const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  lookUp(hostname, { ...options, all: true }, (error, found) => {
    const [first, ...rest] = error === null ? found.filter(({ address }) => isPublicAddress(address)) : [];
    if (first === undefined) {
      callback(error ?? new PrivateAddressError("it leads into a private network"), [], 0);
    } else if (options.all === true) callback(null, [first, ...rest]);
    else callback(null, first.address, first.family);
  });
};

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
