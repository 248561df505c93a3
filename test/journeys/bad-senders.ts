import { type Inbox, signToken, signatures, webhook } from "./inbox.ts";
import { type BadRequest, marker } from "./bad-bodies.ts";

/** Webhooks whose sender is not who it says, or says it wrongly. */
export async function badSenders(inbox: Inbox): Promise<readonly BadRequest[]> {
  return [
    ...(await badCredentials(inbox)),
    ...badTokens(inbox),
    ...(await badSignatures(inbox)),
    ...badQueries(inbox),
    ...oddHeads(inbox),
  ];
}

async function badCredentials({ addSource, admin, app, key, request, source }: Inbox) {
  const { apiKeys } = app.deps.access;
  const scopes = ["webhook:write"] as const;
  const [expired, revoked] = [
    await apiKeys.create({ name: "expired", scopes, sourceId: source.id, expiresAt: new Date(2 ** 42) }),
    await apiKeys.create({ name: "revoked", scopes, sourceId: source.id }),
  ];
  await app.deps.db.query("update access_api_key set expires_at = now() where id = $1", [expired.key.id]);
  await apiKeys.revoke(revoked.key.id);
  const other = await addSource("api_key");
  const gone = await addSource("api_key");
  await request("DELETE", `/api/v1/sources/${gone.name}`, { key: admin });
  const named = `/api/v1/webhook?source=${source.name}`;
  const by = (credential: string) => ({ authorization: `Bearer ${credential}` });

  const cases: readonly (readonly [string, string, Record<string, string>, string?])[] = [
    ["no credentials", "401 unauthorized", {}],
    ["no credentials for a source that needs a key", "401 unauthorized", {}, named],
    ["a key that never was", "401 unauthorized", by(`tdk_${marker}${"A".repeat(37)}`)],
    ["something that looks like nothing", "401 unauthorized", by(marker)],
    ["an empty credential", "401 unauthorized", { authorization: "Bearer " }],
    ["another scheme of authorization", "401 unauthorized", { authorization: `Basic ${marker}` }],
    ["two credentials that differ", "401 unauthorized", { ...by(source.secret), "x-api-key": other.secret }],
    ["an expired key", "401 unauthorized", by(expired.secret)],
    ["a revoked key", "401 unauthorized", by(revoked.secret)],
    ["a key without the scope", "403 forbidden", by(await key(["inbox:read", "stats:read"], source.id))],
    ["a key bound to another source", "403 forbidden", by(other.secret), named],
    ["a key of a removed source", "401 unauthorized", by(gone.secret)],
    ["an unknown source", "404 unknown_source", by(admin), "/api/v1/webhook?source=nobody"],
    ["a removed source", "404 unknown_source", by(admin), `/api/v1/webhook?source=${gone.name}`],
  ];
  return cases.map(([what, refused, headers, path]) => ({
    what,
    refused,
    headers: { "content-type": "application/json", ...headers },
    ...(path === undefined ? {} : { path }),
  }));
}

function badTokens({ app, source }: Inbox): readonly BadRequest[] {
  const { jwtSecret = "" } = app.deps.config;
  const claims = { scope: "webhook:write" };
  const longest = "s".repeat(255);
  const tokens: Readonly<Record<string, string>> = {
    "an expired token": signToken(jwtSecret, { ...claims, exp: 1 }),
    "a token that does not expire": signToken(jwtSecret, { ...claims, exp: undefined }),
    "a token of nobody": signToken(jwtSecret, { ...claims, sub: undefined }),
    "a token whose subject is empty": signToken(jwtSecret, { ...claims, sub: "" }),
    "a token whose subject is too long to be kept": signToken(jwtSecret, {
      ...claims,
      sub: `${longest}s`,
    }),
    "a token whose subject has a control character": signToken(jwtSecret, { ...claims, sub: "a\u001eb" }),
    "a token whose subject has a lone surrogate": signToken(jwtSecret, { ...claims, sub: "a\ud800" }),
    "a token that calls itself this server's own": signToken(jwtSecret, { ...claims, iss: "tidings" }),
    "an unsigned token": signToken(jwtSecret, claims, "none"),
    "a token of another algorithm": signToken(jwtSecret, claims, "HS512"),
    "a token by another secret": signToken(`${jwtSecret}x`, claims),
  };
  const forbidden = { "a token without the scope": signToken(jwtSecret, { scope: "inbox:read" }) };
  const row = (refused: string) => {
    return ([what, token]: readonly [string, string]): BadRequest => ({
      what,
      refused,
      path: `/api/v1/webhook?source=${source.name}`,
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    });
  };
  return [
    ...Object.entries(tokens).map(row("401 unauthorized")),
    ...Object.entries(forbidden).map(row("403 forbidden")),
  ];
}

/** What ordinary clients do not send at all. */
function oddHeads({ source }: Inbox): readonly BadRequest[] {
  const bearer = `Authorization: Bearer ${source.secret}`;
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ["the Authorization header twice", "401 unauthorized", [bearer, bearer]],
    ["two Authorization headers that differ", "401 unauthorized", [bearer, `${bearer}x`]],
    ["the API key twice", "401 unauthorized", [`X-Api-Key: ${source.secret}`, `X-Api-Key: ${source.secret}`]],
    ["a second Host", "400 invalid_header", [bearer, "Host: elsewhere.example"]],
    ["an expectation that nobody knows", "400 invalid_header", [bearer, `Expect: ${marker}`]],
    ["headers of 17 KiB", "431 headers_too_large", [bearer, `X-Much: ${"a".repeat(17 * 1024)}`]],
    ["two lengths", "400 invalid_header", [bearer, "Content-Length: 7"]],
  ];
  return cases.map(([what, refused, odd]) => ({ what, refused, odd }));
}

async function badSignatures({ addSource, admin, app, request }: Inbox): Promise<readonly BadRequest[]> {
  const body = JSON.stringify(webhook());
  const [standard, hub, telegram] = [
    await addSource("standard"),
    await addSource("hub"),
    await addSource("telegram"),
  ];
  const removed = await addSource("hub");
  await request("DELETE", `/api/v1/sources/${removed.name}`, { key: admin });
  const nowS = Math.floor(Date.now() / 1000);
  const tolerance = app.deps.config.webhookToleranceS;
  const at = (timestamp: string | number) =>
    signatures.standard(standard.secret, body, { timestamp: String(timestamp) });
  const signed = at(nowS);
  const without = (name: string) =>
    Object.fromEntries(Object.entries(signed).filter(([key]) => key !== name));
  const changed = (change: Record<string, string>) => ({ ...signed, ...change });
  const version2 = signed["webhook-signature"]?.replace("v1,", "v2,") ?? "";

  const [missing, invalid, expired] = [
    "401 signature_missing",
    "401 signature_invalid",
    "401 signature_expired",
  ];
  const cases: readonly (readonly [string, string, string, Record<string, string>, string?])[] = [
    ["no signature", missing, standard.name, {}],
    // The sender is looked at first: whoever is not the sender learns nothing of what is wrong with a body.
    ["no signature, and a field missing", missing, standard.name, {}, "{}"],
    ["a wrong signature, and a field missing", invalid, standard.name, signed, "{}"],
    ["a wrong signature, and no JSON", invalid, standard.name, signed, "{broken"],
    ["hub: a wrong signature, and no JSON", invalid, hub.name, signatures.hub(hub.secret, body), "{broken"],
    ["no webhook-id", missing, standard.name, without("webhook-id")],
    ["no webhook-timestamp", missing, standard.name, without("webhook-timestamp")],
    ["no webhook-signature", missing, standard.name, without("webhook-signature")],
    ["an admin's key in place of a signature", missing, standard.name, { authorization: `Bearer ${admin}` }],
    ["another message id", invalid, standard.name, changed({ "webhook-id": "msg_2" })],
    ["another timestamp", invalid, standard.name, changed({ "webhook-timestamp": String(nowS - 1) })],
    ["a signature of another body", invalid, standard.name, signatures.standard(standard.secret, "{}")],
    ["a signature by another secret", invalid, standard.name, signatures.standard(hub.secret, body)],
    ["another version of signature", invalid, standard.name, changed({ "webhook-signature": version2 })],
    ["a signature that is nonsense", invalid, standard.name, changed({ "webhook-signature": marker })],
    ["a stale timestamp", expired, standard.name, at(nowS - tolerance - 60)],
    ["a future timestamp", expired, standard.name, at(nowS + tolerance + 60)],
    ["a timestamp in milliseconds", invalid, standard.name, at(nowS * 1000)],
    ["a timestamp that is no number", invalid, standard.name, at(marker)],
    ["a timestamp with a sign", invalid, standard.name, at(`-${nowS}`)],
    ["hub: no signature", missing, hub.name, {}],
    ["hub: a signature of another body", invalid, hub.name, signatures.hub(hub.secret, `${body} `)],
    ["hub: upper-case digits", invalid, hub.name, upperCaseHex(signatures.hub(hub.secret, body))],
    ["hub: SHA-1", invalid, hub.name, { "x-hub-signature-256": `sha1=${"a".repeat(40)}` }],
    ["hub: one of Standard Webhooks", missing, hub.name, signed],
    ["telegram: no token", missing, telegram.name, {}],
    ["telegram: another token", invalid, telegram.name, signatures.telegram(marker)],
    ["telegram: a token and more", invalid, telegram.name, signatures.telegram(`${telegram.secret}x`)],
    [
      "a signed source that was removed",
      "404 unknown_source",
      removed.name,
      signatures.hub(removed.secret, body),
    ],
  ];
  // A body that is not read is not signed either.
  const unread = { "content-type": "text/plain", ...signatures.hub(marker, body) };
  const path = `/api/v1/webhook?source=${hub.name}`;
  return [
    ...cases.map(([what, refused, name, headers, other = body]) => ({
      what,
      refused,
      path: `/api/v1/webhook?source=${name}`,
      headers: { "content-type": "application/json", ...headers },
      body: other,
    })),
    {
      what: "hub: a wrong signature, and no body",
      refused: "400 invalid_body",
      at: [""],
      path,
      headers: signatures.hub(marker, ""),
      body: "",
    },
    {
      what: "hub: a wrong signature, and a text",
      refused: "415 unsupported_media_type",
      path,
      headers: unread,
      body,
    },
  ];
}

function upperCaseHex(headers: Record<string, string>): Record<string, string> {
  const change = (value: string): string => `sha256=${value.slice(7).toUpperCase()}`;
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, change(value)]));
}

function badQueries({ admin, source }: Inbox): readonly BadRequest[] {
  const headers = { "content-type": "application/json", authorization: `Bearer ${admin}` };
  const bad = "400 invalid_query";
  const cases: readonly (readonly [string, string, (readonly string[])?])[] = [
    ["no source by a key that is bound to none", "", ["source"]],
    ["an unknown parameter", `?source=${source.name}&trace=${marker}`, ["trace"]],
    ["an empty source", "?source=", ["source"]],
    ["a source in upper case", "?source=Demo", ["source"]],
    ["a source that is a path", "?source=../demo", ["source"]],
    ["a source that is too long", `?source=${"a".repeat(65)}`, ["source"]],
    ["two sources", `?source=${source.name}&source=${source.name}`, ["source"]],
    ["NUL in the query", "?source=a%00"],
  ];
  return cases.map(([what, query, at]) => ({
    what,
    refused: bad,
    path: `/api/v1/webhook${query}`,
    headers,
    ...(at === undefined ? {} : { at }),
  }));
}
