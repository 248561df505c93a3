import dgram from "node:dgram";
import { isIPv4 } from "node:net";

type Cleanup = { after(callback: () => Promise<void>): void };

/** What a name server says of a name: its addresses, or nothing at all; of one kind of addresses alone if told. */
export type Names = Readonly<Record<string, readonly string[] | "silence" | "no IPv6 answer">>;

/** A name server on this machine; resolves with its address. What it does not know does not exist. */
export async function openNameServer(t: Cleanup, names: Names): Promise<string> {
  const socket = dgram.createSocket("udp4");
  socket.on("message", (asked, { port, address }) => {
    const { name, type, end } = question(asked);
    const known = names[name];
    if (known === "silence" || (known === "no IPv6 answer" && type === 28)) return;
    const found = (known === "no IPv6 answer" ? ["1.1.1.1"] : (known ?? [])).filter(
      (one) => isIPv4(one) === (type === 1),
    );
    const head = Buffer.from(asked.subarray(0, 12));
    head.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2);
    head.writeUInt16BE(found.length, 6);
    head.writeUInt32BE(0, 8);
    const records = found.map((one) => {
      const bytes = type === 1 ? Buffer.from(one.split(".").map(Number)) : bytesOf6(one);
      const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length]);
      return Buffer.concat([record, bytes]);
    });
    socket.send(Buffer.concat([head, asked.subarray(12, end), ...records]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  t.after(() => new Promise((resolve) => socket.close(resolve)));
  return `127.0.0.1:${socket.address().port}`;
}

function question(asked: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = asked[at] ?? 0; length > 0; length = asked[at] ?? 0) {
    labels.push(asked.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join("."), type: asked.readUInt16BE(at + 1), end: at + 5 };
}

/** Written in full, or with "::" before the last group. */
function bytesOf6(address: string): Buffer {
  const [head = "", last] = address.split("::");
  const groups = head.split(":");
  const all = last === undefined ? groups : [...groups, ...Array(7 - groups.length).fill("0"), last];
  return Buffer.from(all.map((group) => String(group).padStart(4, "0")).join(""), "hex");
}
