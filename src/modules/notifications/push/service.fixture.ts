import { type ECDH, createDecipheriv, createECDH, hkdfSync, randomBytes } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { NewPushSubscription, PushedNotification } from "../../../../protocol/push.ts";

/** What a push service was sent for a browser. */
export type Received = {
  readonly endpoint: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
};

/** What it answers: a status, with headers, or nothing at all. */
export type Answer =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | "silence"
  | "hang up";

export type PushService = {
  readonly origin: string;
  readonly received: readonly Received[];
  /** How it answers from now on; 201 unless told. */
  answer(how: Answer | ((endpoint: string) => Answer)): void;
  /** Browsers that were subscribed here, each with an endpoint of its own. */
  browser(): Browser;
};

export type Browser = {
  readonly subscription: NewPushSubscription;
  /** Reads what was sent to it, as RFC 8291 has it and without the library that wrote it. */
  decrypt(body: Buffer): PushedNotification;
};

type Cleanup = { after(callback: () => Promise<void>): void };

/** A push service on this machine; closed after the test. */
export async function openPushService(t: Cleanup): Promise<PushService> {
  const received: Received[] = [];
  let how: (endpoint: string) => Answer = () => ({ status: 201 });
  let browsers = 0;
  let origin = "";
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const endpoint = `${origin}${request.url}`;
      received.push({ endpoint, headers: request.headers, body: Buffer.concat(parts) });
      const answer = how(endpoint);
      if (answer === "hang up") request.socket.destroy();
      else if (answer !== "silence")
        response.writeHead(answer.status, answer.headers).end("whatever it says");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    get origin() {
      return origin;
    },
    received,
    answer: (next) => {
      how = typeof next === "function" ? next : () => next;
    },
    browser: () => createBrowser(`${origin}/push/${++browsers}`),
  };
}

export function createBrowser(endpoint: string): Browser {
  const keys = createECDH("prime256v1");
  keys.generateKeys();
  const auth = randomBytes(16);
  return {
    subscription: {
      endpoint,
      expirationTime: null,
      keys: { p256dh: keys.getPublicKey("base64url"), auth: auth.toString("base64url") },
    },
    decrypt: (body) => JSON.parse(decryptPush(body, { keys, auth })) as PushedNotification,
  };
}

/** RFC 8291, section 3.4, and RFC 8188: one record of `aes128gcm`. */
export function decryptPush(
  body: Buffer,
  { keys, auth }: { readonly keys: ECDH; readonly auth: Buffer },
): string {
  const salt = body.subarray(0, 16);
  const recordBytes = body.readUInt32BE(16);
  const keyEnd = 21 + (body[20] ?? 0);
  const theirs = body.subarray(21, keyEnd);
  const record = body.subarray(keyEnd);
  if (record.length > recordBytes) throw new Error("there is more than one record");
  const derive = (key: Buffer, saltOf: Buffer, info: string | Buffer, bytes: number): Buffer =>
    Buffer.from(hkdfSync("sha256", key, saltOf, info, bytes));
  const info = Buffer.concat([Buffer.from("WebPush: info\0"), keys.getPublicKey(), theirs]);
  const secret = derive(keys.computeSecret(theirs), auth, info, 32);
  const key = derive(secret, salt, "Content-Encoding: aes128gcm\0", 16);
  const nonce = derive(secret, salt, "Content-Encoding: nonce\0", 12);
  const decipher = createDecipheriv("aes-128-gcm", key, nonce);
  decipher.setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
  const delimiter = padded.lastIndexOf(2);
  if (padded.subarray(delimiter + 1).some((byte) => byte !== 0))
    throw new Error("it is not padded as it must be");
  return padded.subarray(0, delimiter).toString();
}
