import assert from "node:assert/strict";
import { after, test } from "node:test";
import { SourcePage, SourceWithSecret } from "../../protocol/inbox.ts";
import { eventually } from "../harness.ts";
import { openInbox, signatures, webhook } from "./inbox.ts";

const inbox = await openInbox({ after });
const { addSource, admin, app, dialogsOf, request } = inbox;

async function postSigned(name: string, headers: (body: string) => Record<string, string>) {
  const body = JSON.stringify(webhook());
  const answer = await request("POST", `/api/v1/webhook?source=${name}`, { body, headers: headers(body) });
  return answer.status === 202 ? "accepted" : answer.problem().code;
}

async function rotate(name: string, body?: { grace_s: number }): Promise<string> {
  const answer = await request("POST", `/api/v1/sources/${name}/rotate`, {
    key: admin,
    ...(body === undefined ? {} : { json: body }),
  });
  assert.equal(answer.status, 200, answer.text);
  const { source, secret } = answer.as(SourceWithSecret);
  assert.equal(source.name, name);
  return secret;
}

test("after a rotation the old secret is good for a day, and then not, under every scheme", async () => {
  await Promise.all(
    (["standard", "hub", "telegram"] as const).map(async (scheme) => {
      const { name, secret: old } = await addSource(scheme);
      const fresh = await rotate(name);
      assert.notEqual(fresh, old);
      const by = (secret: string) => postSigned(name, (body) => signatures[scheme](secret, body));
      assert.deepEqual([await by(old), await by(fresh)], ["accepted", "accepted"]);
      const { rows } = await app.deps.db.query<{ hours: number }>(
        "select round(extract(epoch from previous_secret_until - now()) / 3600)::int as hours from inbox_source where name = $1",
        [name],
      );
      assert.equal(rows[0]?.hours, 24);

      await app.deps.db.query("update inbox_source set previous_secret_until = now() where name = $1", [
        name,
      ]);
      await eventually("the old secret is refused", async () => (await by(old)) === "signature_invalid");
      assert.equal(await by(fresh), "accepted");
    }),
  );
});

test("a rotation ends the secret before the previous one at once", async () => {
  const { name, secret } = await addSource("hub");
  const second = await rotate(name);
  const third = await rotate(name);
  const by = (secret: string) => postSigned(name, (body) => signatures.hub(secret, body));
  assert.deepEqual(
    [await by(secret), await by(second), await by(third)],
    ["signature_invalid", "accepted", "accepted"],
  );
});

test("after a rotation the old key of a source is good for a day, and then not", async () => {
  const { id, name, secret: old } = await addSource("api_key");
  const fresh = await rotate(name);
  const by = async (key: string) =>
    (await request("POST", "/api/v1/webhook", { key, json: webhook() })).status;
  assert.deepEqual([await by(old), await by(fresh)], [202, 202]);
  const { rows } = await app.deps.db.query<{ hours: number | null }>(
    `select round(extract(epoch from expires_at - now()) / 3600)::int as hours from access_api_key
      where source_id = $1 order by id`,
    [id],
  );
  assert.deepEqual(
    rows.map(({ hours }) => hours),
    [24, null],
  );
  await app.deps.db.query(
    "update access_api_key set expires_at = now() where source_id = $1 and expires_at > now()",
    [id],
  );
  await eventually("the old key is refused", async () => (await by(old)) === 401);
  assert.equal(await by(fresh), 202);
});

test("a rotation without grace ends the old secret at once, under every scheme, and keeps the new one", async () => {
  for (const scheme of ["standard", "hub", "telegram"] as const) {
    const { name, secret: old } = await addSource(scheme);
    const by = (secret: string) => postSigned(name, (body) => signatures[scheme](secret, body));
    assert.equal(await by(old), "accepted");
    const fresh = await rotate(name, { grace_s: 0 });
    assert.deepEqual([await by(old), await by(fresh)], ["signature_invalid", "accepted"], scheme);
  }
  const { name, secret: old } = await addSource("api_key");
  const by = async (key: string) =>
    (await request("POST", "/api/v1/webhook", { key, json: webhook() })).status;
  assert.equal(await by(old), 202);
  const fresh = await rotate(name, { grace_s: 0 });
  assert.deepEqual([await by(old), await by(fresh)], [401, 202]);
});

test("a rotation keeps the old secret good for as long as it is told, a day at most", async () => {
  const { name } = await addSource("hub");
  await rotate(name, { grace_s: 60 });
  const { rows } = await app.deps.db.query<{ seconds: number }>(
    "select round(extract(epoch from previous_secret_until - now()))::int as seconds from inbox_source where name = $1",
    [name],
  );
  assert.ok((rows[0]?.seconds ?? 0) > 50 && (rows[0]?.seconds ?? 0) <= 60);
  await rotate(name, { grace_s: 86_400 });
  for (const json of [{ grace_s: 86_401 }, { grace_s: -1 }, { secret: "mine-and-only-mine" }]) {
    const answer = await request("POST", `/api/v1/sources/${name}/rotate`, { key: admin, json });
    assert.deepEqual(
      answer.problem().errors?.map(({ pointer }) => pointer),
      [`/${Object.keys(json)[0]}`],
    );
  }
});

test("a source works from the moment it is made, also when it was asked for in vain just before", async () => {
  const name = "not-yet-there";
  const secret = "0123456789abcdef";
  const post = () => postSigned(name, () => signatures.telegram(secret));
  assert.deepEqual([await post(), await post()], ["unknown_source", "unknown_source"]);
  const json = { name, scheme: "telegram", secret };
  assert.equal((await request("POST", "/api/v1/sources", { key: admin, json })).status, 201);
  assert.equal(await post(), "accepted");
});

test("a source and its key are made together or not at all, and so are they rotated", async () => {
  const { db } = app.deps;
  const create = () =>
    request("POST", "/api/v1/sources", { key: admin, json: { name: "half", scheme: "api_key" } });
  const { id, name, secret } = await addSource("api_key");
  await db.query(`create function refuse_keys() returns trigger language plpgsql as
    $$ begin raise exception 'no keys today'; end $$`);
  await db.query("create trigger refuse_keys before insert on access_api_key execute function refuse_keys()");
  const failed = [await create(), await request("POST", `/api/v1/sources/${name}/rotate`, { key: admin })];
  assert.deepEqual(
    failed.map(({ status }) => status),
    [500, 500],
  );
  await db.query("drop trigger refuse_keys on access_api_key");
  const { rows } = await db.query(
    "select 1 from access_api_key where source_id = $1 and expires_at is not null",
    [id],
  );
  assert.equal(rows.length, 0, "the key that should have been replaced goes on");
  assert.equal((await request("POST", "/api/v1/webhook", { key: secret, json: webhook() })).status, 202);
  assert.equal((await create()).status, 201);
});

test("who creates, rotates and removes a source is logged, without its secret", async (t) => {
  const { mock } = t.mock.method(app.deps.log, "info");
  const { name, secret } = await addSource("hub");
  const fresh = await rotate(name, { grace_s: 5 });
  await request("DELETE", `/api/v1/sources/${name}`, { key: admin });
  const lines = mock.calls.map(({ arguments: [fields, text] }) => ({ ...(fields as object), text }));
  const told = lines.filter((line) => /^source (created|rotated|removed)$/.test(String(line.text)));
  assert.equal(told.length, 3);
  for (const line of told) {
    const { actor, request_id: requestId, source } = line as Record<string, unknown>;
    assert.match(String(actor), /^key:\d+$/);
    assert.match(String(requestId), /^[0-9a-f-]{36}$/);
    assert.equal(source, name);
  }
  const all = JSON.stringify(lines);
  assert.ok(!all.includes(secret) && !all.includes(fresh));
});

test("a removed source takes nothing more, its dialogs stay, and its name is free again", async () => {
  const { name, secret } = await addSource("telegram");
  const sent = webhook();
  const post = (headers: Record<string, string>) =>
    request("POST", `/api/v1/webhook?source=${name}`, { json: sent, headers });
  assert.equal((await post(signatures.telegram(secret))).status, 202);
  await app.drain();
  const removal = await request("DELETE", `/api/v1/sources/${name}`, { key: admin });
  assert.deepEqual([removal.status, removal.text], [204, ""]);
  const refused = await post(signatures.telegram(secret));
  assert.deepEqual([refused.status, refused.problem().code], [404, "unknown_source"]);
  assert.equal((await dialogsOf(sent.external_client_id))[0]?.contact.source, name);
  for (const [method, path] of [
    ["DELETE", `/api/v1/sources/${name}`],
    ["POST", `/api/v1/sources/${name}/rotate`],
  ] as const) {
    assert.equal((await request(method, path, { key: admin })).problem().code, "unknown_source");
  }
  const again = { name, scheme: "telegram", secret: "0123456789abcdef" };
  assert.equal((await request("POST", "/api/v1/sources", { key: admin, json: again })).status, 201);
  assert.equal((await post(signatures.telegram(secret))).problem().code, "signature_invalid");
});

test("the keys of a removed source end with it", async () => {
  const { name, secret } = await addSource("api_key");
  await request("DELETE", `/api/v1/sources/${name}`, { key: admin });
  for (const path of ["/api/v1/webhook", `/api/v1/webhook?source=${inbox.source.name}`]) {
    const answer = await request("POST", path, { key: secret, json: webhook() });
    assert.deepEqual([answer.status, answer.problem().code], [401, "unauthorized"]);
  }
});

test("sources are listed by name and without their secrets", async () => {
  const { name, secret } = await addSource("hub");
  const answer = await request("GET", "/api/v1/sources", { key: admin });
  const { sources } = answer.as(SourcePage);
  assert.ok(sources.some((source) => source.name === name && source.scheme === "hub"));
  assert.deepEqual(
    sources.map((source) => source.name),
    sources.map((source) => source.name).toSorted(),
  );
  assert.ok(!answer.text.includes(secret));
});

test("sources are listed page by page, each once, while others come and go", async () => {
  for (let i = 0; i < 3; i++) await addSource("hub");
  const page = async (query: string) =>
    (await request("GET", `/api/v1/sources?limit=2${query}`, { key: admin })).as(SourcePage);
  const all = (await request("GET", "/api/v1/sources?limit=200", { key: admin })).as(SourcePage);
  assert.equal(all.next_cursor, null);
  const seen: string[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const { sources, next_cursor: next }: Awaited<ReturnType<typeof page>> = await page(
      cursor === "" ? "" : `&cursor=${cursor}`,
    );
    seen.push(...sources.map(({ name }) => name));
    cursor = next;
  }
  assert.deepEqual(
    seen,
    all.sources.map(({ name }) => name),
  );
});

test("a contact names its source by id as well: the name may later be another one's", async () => {
  const { id, name, secret } = await addSource("telegram");
  const sent = webhook();
  await request("POST", `/api/v1/webhook?source=${name}`, {
    json: sent,
    headers: signatures.telegram(secret),
  });
  await app.drain();
  const contact = (await dialogsOf(sent.external_client_id))[0]?.contact;
  assert.deepEqual([contact?.source_id, contact?.source], [id, name]);
});

test("a name has 64 characters at most", async () => {
  const create = (name: string) =>
    request("POST", "/api/v1/sources", { key: admin, json: { name, scheme: "hub" } });
  assert.equal((await create("n".repeat(64))).status, 201);
  const refused = (await create("n".repeat(65))).problem();
  assert.deepEqual([refused.code, refused.errors?.[0]?.pointer], ["invalid_body", "/name"]);
});

test("a secret that its scheme cannot use is refused, a name that is taken is a conflict", async () => {
  const create = (json: unknown) => request("POST", "/api/v1/sources", { key: admin, json });
  const long = "x".repeat(256);
  for (const [scheme, secret] of [
    ["api_key", "0123456789abcdef"],
    ["standard", "0123456789abcdef0123456789abcdef"],
    ["standard", "whsec_tooShort"],
    ["hub", "too short"],
    ["hub", `${long}x`],
    ["hub", "0123456789abcdef\u0000"],
    ["hub", "0123456789abcdef\ud800"],
    ["hub", "0123456789abcdef\n"],
    ["hub", " ".repeat(16)],
    ["hub", " 0123456789abcdef"],
    ["standard", `whsec_${"A".repeat(31)}`],
    ["standard", `whsec_${"A".repeat(33)}`],
    ["standard", `whsec_${"A".repeat(32)}=`],
    ["standard", `whsec_${"A".repeat(33)}B`],
    ["standard", `whsec_${Buffer.alloc(65).toString("base64")}`],
    ["telegram", "with spaces in between"],
  ]) {
    const answer = await create({ name: "refused", scheme, secret });
    assert.equal(answer.status, 400, `${scheme} ${JSON.stringify(secret)}: ${answer.text}`);
    const problem = answer.problem();
    assert.equal(problem.code, "invalid_body");
    assert.deepEqual(
      problem.errors?.map(({ pointer }) => pointer),
      ["/secret"],
    );
  }
  for (const secret of ["0123456789abcdef", long]) {
    assert.equal((await create({ name: `length-${secret.length}`, scheme: "hub", secret })).status, 201);
  }
  for (const bytes of [24, 64]) {
    const secret = `whsec_${Buffer.alloc(bytes, "k").toString("base64")}`;
    assert.equal((await create({ name: `whsec-${bytes}`, scheme: "standard", secret })).status, 201);
  }
  const taken = await create({ name: "length-256", scheme: "hub" });
  assert.deepEqual([taken.status, taken.problem().code], [409, "conflict"]);
});
