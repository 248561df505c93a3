import { type LookupAddress } from "node:dns";
import { type LookupFunction, isIP } from "node:net";
import { callbackify } from "node:util";
import { isPublicAddress } from "./addresses.ts";
import { addressesOf, createOwnNames } from "./names.ts";

/**
 * Which addresses the server calls because a stranger says so: a browser's subscription is nothing but a text. Nothing in
 * a private network is called, whatever leads there, unless the operator has named the very host.
 */
export type PushHosts = {
  /**
   * What is wrong with a subscription's endpoint, as far as its text says: completes the sentence "… must be". Asked when
   * a browser subscribes and before each call: the list may be another one by then.
   */
  fault(endpoint: string): string | undefined;
  /** Resolves names for the calls. Names that lead into a private network are as good as unknown. */
  readonly lookup: LookupFunction;
};

/** A name that leads to no address that may be called. */
export class PrivateAddressError extends Error {
  override readonly name = "PrivateAddressError";
  readonly code = "EPRIVATE";
}

/**
 * `listed`: the hosts that may be called; if there are none, all that are in no private network. What is named in full may
 * be anywhere, what begins with `*.` is in no private network. `servers`: name servers, those of the machine unless given.
 */
export function createPushHosts(listed: readonly string[], servers?: readonly string[]): PushHosts {
  const named = new Set(listed);
  const ownAddressesOf = createOwnNames(undefined, (hostname) => addressesOf(hostname, servers));
  const find = async (hostname: string): Promise<readonly LookupAddress[]> => {
    if (named.has(hostname)) return ownAddressesOf(hostname);
    const found = await addressesOf(hostname, servers);
    // Looked at when a connection is made: a name may lead elsewhere from one moment to the next.
    return found.filter(({ address }) => isPublicAddress(address));
  };
  return {
    fault: (endpoint) => {
      const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
      if (url === undefined || url.username !== "" || url.password !== "" || url.hash !== "")
        return "the address of a push service";
      const { hostname } = url;
      if (listed.length > 0 && !listed.some((item) => fits(hostname, item)))
        return "at a push service that this server may call";
      if (url.protocol !== "https:" && !(named.has(hostname) && isLoopbackName(hostname)))
        return "an address that begins with https://";
      // Of a stranger's choice among ports, all but one lead to something that is no push service.
      if (!named.has(hostname) && url.port !== "") return "at port 443 of a push service";
      if (!named.has(hostname) && !isPublicName(hostname))
        return "at a push service, and not in a private network";
      return undefined;
    },
    lookup: (hostname, options, callback) => {
      const { all, family } = options;
      callbackify(find)(hostname, (error: NodeJS.ErrnoException | null, found) => {
        if (error !== null) {
          callback(error, [], 0);
          return;
        }
        const wanted = found.filter((one) => (family !== 4 && family !== 6) || one.family === family);
        const [first] = wanted;
        if (first === undefined)
          callback(new PrivateAddressError("it leads to no address that may be called"), [], 0);
        else if (all === true) callback(null, wanted);
        else callback(null, first.address, first.family);
      });
    },
  };
}

function fits(hostname: string, item: string): boolean {
  if (!item.startsWith("*.")) return hostname === item;
  return hostname.endsWith(item.slice(1)) && isIP(hostname) === 0;
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
