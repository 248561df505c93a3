import assert from "node:assert/strict";
import { after, test } from "node:test";
import { SourceList, SourceWithSecret } from "../../protocol/inbox.ts";
import { eventually } from "../harness.ts";
import { openInbox, signatures, webhook } from "./inbox.ts";

const inbox = await openInbox({ after });
const { addSource, admin, app, dialogsOf, request } = inbox;

async function postSigned(name: string, headers: (body: string) => Record<string, string>) {
  const body = JSON.stringify(webhook());
  const answer = await request("POST", `/api/v1/webhook?source=${name}`, { body, headers: headers(body) });
  return answer.status === 202 ? "accepted" : answer.problem().code;
}

async function rotate(name: string): Promise<string> {
  const answer = await request("POST", `/api/v1/sources/${name}/rotate`, { key: admin });
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
  const { sources } = answer.as(SourceList);
  assert.ok(sources.some((source) => source.name === name && source.scheme === "hub"));
  assert.deepEqual(
    sources.map((source) => source.name),
    sources.map((source) => source.name).toSorted(),
  );
  assert.ok(!answer.text.includes(secret));
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
    assert.equal((await create({ name: `hub-${secret.length}`, scheme: "hub", secret })).status, 201);
  }
  const taken = await create({ name: "hub-256", scheme: "hub" });
  assert.deepEqual([taken.status, taken.problem().code], [409, "conflict"]);
});
