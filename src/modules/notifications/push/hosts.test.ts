import assert from "node:assert/strict";
import { type LookupAddress, type LookupOptions } from "node:dns";
import { test } from "node:test";
import { isPublicAddress } from "./addresses.ts";
import { createPushHosts } from "./hosts.ts";
import { openNameServer } from "./names.fixture.ts";

test("addresses of private, local and special networks are none of the internet, however they are written", () => {
  const special = [
    "0.0.0.0 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1",
    "172.31.255.255 192.0.0.8 192.0.2.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1",
    "240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 fc00::1 fdff::1 fe80::1 fec0::1",
    "ff02::1 2001::1 2001:1ff::1 2001:db8::1 2002:7f00:1:: 3fff::1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::1",
    "100::1 fe80::1%eth0 localhost 1.2.3 example.com",
  ].flatMap((line) => line.split(" "));
  assert.deepEqual(
    special.filter((address) => isPublicAddress(address)),
    [],
  );
  const internet = [
    "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 128.0.0.1 169.253.1.1 172.15.0.1 172.32.0.1 192.167.1.1 198.17.0.1",
    "223.255.255.255 2001:200::1 2a00:1450:4010::5f 2606:4700::1111 64:ff9b::808:808 64:ff9b::8.8.8.8",
  ].flatMap((line) => line.split(" "));
  assert.deepEqual(
    internet.filter((address) => !isPublicAddress(address)),
    [],
  );
});

test("without a list every push service of the internet may be called, and nothing else", () => {
  const hosts = createPushHosts([]);
  const bad = [
    "http://push.example.org/x",
    "https://127.0.0.1/x",
    "https://0x7f.1/x",
    "https://2130706433/x",
    "https://[::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://192.168.0.1:8443/x",
    "https://fcm.googleapis.com:22/x",
    "https://fcm.googleapis.com:80/x",
    "https://ntfy.sh:8443/up",
    "https://1.1.1.1:444/x",
    "https://localhost/x",
    "https://localhost./x",
    "https://api.localhost/x",
    "https://router.local/x",
    "https://db.internal/x",
    "https://metadata/x",
    "https://me:pass@push.example.org/x",
    "https://push.example.org/x#y",
    "https://",
    "ftp://push.example.org/x",
  ];
  assert.deepEqual(
    bad.filter((endpoint) => hosts.fault(endpoint) === undefined),
    [],
  );
  const good = [
    "https://fcm.googleapis.com/fcm/send/a:b",
    "https://web.push.apple.com/Q",
    "https://ntfy.sh:443/up",
    "https://1.1.1.1/x",
  ];
  assert.deepEqual(
    good.filter((endpoint) => hosts.fault(endpoint) !== undefined),
    [],
  );
});

test("with a list its hosts may be called, wherever they are, and without TLS on this machine alone", () => {
  const hosts = createPushHosts(["fcm.googleapis.com", "*.example.org", "10.0.0.7", "127.0.0.1", "[::1]"]);
  const good = [
    "https://fcm.googleapis.com/x",
    "https://fcm.googleapis.com:8443/x",
    "https://10.0.0.7:2586/x",
    "https://a.b.example.org/x",
    "https://10.0.0.7/x",
    "http://127.0.0.1:8080/x",
    "http://[::1]/x",
  ];
  assert.deepEqual(
    good.filter((endpoint) => hosts.fault(endpoint) !== undefined),
    [],
  );
  const bad = [
    "https://example.org/x",
    "https://fooexample.org/x",
    "https://push.apple.com/x",
    "https://a.example.org:8443/x",
    "https://fcm.googleapis.com.evil.org/x",
    "http://fcm.googleapis.com/x",
    "http://10.0.0.7/x",
    "https://127.0.0.2/x",
  ];
  assert.deepEqual(
    bad.filter((endpoint) => hosts.fault(endpoint) === undefined),
    [],
  );
});

test("what is named in full may be in a private network, and what only ends as an item does may not", () => {
  const hosts = createPushHosts(["*.corp.internal", "push.corp.internal", "*.0.0.1", "*.localhost"]);
  assert.equal(hosts.fault("https://push.corp.internal/x"), undefined);
  for (const endpoint of ["https://a.corp.internal/x", "https://127.0.0.1/x", "http://a.localhost/x"])
    assert.notEqual(hosts.fault(endpoint), undefined, endpoint);
});

type Told = { readonly listed?: readonly string[]; readonly servers: readonly string[] };

/** What a call would be told. */
function lookUp(
  hostname: string,
  options: LookupOptions,
  { listed = [], servers }: Told,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  createPushHosts(listed, servers).lookup(hostname, options, (error, address: string | LookupAddress[]) => {
    const found = typeof address === "string" ? address : address.map((one) => one.address).join();
    resolve(error === null ? found : error.code);
  });
  return promise;
}

test("a name that leads into a private network has no address for calls, unless it is named in full", async (t) => {
  const names = {
    "push.example.org": ["10.0.0.1", "1.1.1.1", "2606:4700::1111", "fd00::1"],
    "inside.example.org": ["127.0.0.1", "fd00::1"],
  };
  const servers = [await openNameServer(t, names)];
  const all = { all: true } as const;
  assert.equal(await lookUp("push.example.org", all, { servers }), "1.1.1.1,2606:4700::1111");
  assert.equal(await lookUp("push.example.org", { family: 6 }, { servers }), "2606:4700::1111");
  assert.equal(await lookUp("push.example.org", { family: 4 }, { servers }), "1.1.1.1");
  for (const listed of [[], ["*.example.org"], ["localhost"]])
    for (const options of [all, { family: 4 }])
      assert.equal(await lookUp("inside.example.org", options, { servers, listed }), "EPRIVATE");
  assert.equal(await lookUp("nowhere.example.org", all, { servers }), "ENOTFOUND");
  const own = { servers, listed: ["localhost"] };
  assert.equal(await lookUp("localhost", { family: 4 }, own), "127.0.0.1", "as the machine knows it");
});
