import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import webPush from "web-push";
import {
  type Config,
  databaseAddress,
  envExample,
  ignoredOptions,
  options,
  readConfig,
  shownDefault,
} from "./config.ts";
import { StartupError } from "./lib/errors.ts";

/** Two pairs of keys, of which each public key belongs to its private one only. */
const [vapid, otherVapid] = [webPush.generateVAPIDKeys(), webPush.generateVAPIDKeys()];

/** Secrets of payment providers, as `openssl rand -base64 24` makes them, and no other thing. */
const [secret, otherSecret, thirdSecret] = ["a", "b", "c"].map(
  (letter) => `whsec_${Buffer.from(letter.repeat(24)).toString("base64")}`,
);

/** A text for each option, other than its default, and what it means. */
const examples: Readonly<Record<keyof Config, readonly [string, unknown]>> = {
  host: ["0.0.0.0", "0.0.0.0"],
  port: ["0", 0],
  metricsHost: ["0.0.0.0", "0.0.0.0"],
  metricsPort: ["off", undefined],
  maxConnections: ["1", 1],
  trustProxy: ["127.0.0.1, 10.0.0.0/8,", ["127.0.0.1", "10.0.0.0/8"]],
  requestTimeoutMs: ["100", 100],
  roles: ["worker,worker", ["worker"]],
  dataDir: ["/var/lib/tidings/../x", "/var/lib/x"],
  logLevel: ["DEBUG", "debug"],
  databaseUrl: [
    "postgres://me:p%40ss%2F@db.example:6432/talk?sslmode=verify-full",
    {
      host: "db.example",
      port: 6432,
      user: "me",
      password: "p@ss/",
      database: "talk",
      ssl: { rejectUnauthorized: true },
    },
  ],
  dbHost: ["db.example", "db.example"],
  dbPort: ["65535", 65_535],
  dbUser: ["me", "me"],
  dbPassword: ["pass word", "pass word"],
  dbName: ["talk", "talk"],
  dbPoolMax: ["2", 2],
  embeddedUser: ["postgres", "postgres"],
  eventlogPartitions: ["256", 256],
  eventlogQueueEntries: ["100", 100],
  appendTimeoutMs: ["60000", 60_000],
  eventlogRetentionDays: ["1", 1],
  eventlogRetentionMaxDays: ["3650", 3_650],
  eventlogNotify: ["off", false],
  inboxRetentionMonths: ["12", 12],
  webhookToleranceS: ["86400", 86_400],
  rateSource: ["2.5", { perSecond: 2.5, burst: 3 }],
  rateIp: ["1/5", { perSecond: 1, burst: 5 }],
  ratePerson: ["2/5", { perSecond: 2, burst: 5 }],
  rateContact: ["0.01/1", { perSecond: 0.01, burst: 1 }],
  notificationTtls: ["60,billing=86400", { defaultS: 60, bySource: new Map([["billing", 86_400]]) }],
  vapidPublicKey: [vapid.publicKey, vapid.publicKey],
  vapidPrivateKey: [vapid.privateKey, vapid.privateKey],
  vapidSubject: ["mailto:ops@example.com", "mailto:ops@example.com"],
  currency: ["JPY", { code: "JPY", scale: 0 }],
  paymentSecrets: [
    `shop:${secret}, shop:${otherSecret},other_1:${thirdSecret}`,
    new Map([
      ["shop", [secret, otherSecret]],
      ["other_1", [thirdSecret]],
    ]),
  ],
  webPushHosts: ["fcm.googleapis.com, *.example.org,[::1]", ["fcm.googleapis.com", "*.example.org", "[::1]"]],
  rateConnect: ["2/20", { perSecond: 2, burst: 20 }],
  rateFrames: ["5", { perSecond: 5, burst: 5 }],
  connectionsPerAddress: ["1", 1],
  connectionsPerUser: ["1000000", 1_000_000],
  rateRefused: ["1/10", { perSecond: 1, burst: 10 }],
  rateRegister: ["0.1/1", { perSecond: 0.1, burst: 1 }],
  registration: ["off", false],
  corsOrigins: [
    "https://app.example.org, http://localhost:5173,capacitor://localhost",
    ["https://app.example.org", "http://localhost:5173", "capacitor://localhost"],
  ],
  jwtSecret: ["x".repeat(32), "x".repeat(32)],
  jwtJwksUrl: ["https://id.example/keys", new URL("https://id.example/keys")],
  jwtIssuer: ["https://id.example", "https://id.example"],
  jwtAudience: ["tidings", "tidings"],
};

/** Texts that are refused. Options of any text have none. */
const refused: Readonly<Partial<Record<keyof Config, readonly string[]>>> = {
  port: ["-1", "65536", "80a", "1.5", "1e3"],
  metricsPort: ["none", "65536"],
  maxConnections: ["0", "1000001"],
  trustProxy: ["nonsense", "::1, 10.0.0.0/33", "::1/129", "10.0.0.0/8/8", "10.0.0.0/", "10.0.0"],
  requestTimeoutMs: ["99", "600001"],
  roles: ["api,nothing", ","],
  logLevel: ["verbose"],
  databaseUrl: [
    "db.example",
    "mysql://db/x",
    "postgres://db.example",
    "postgres:///x",
    "postgres://db/x?sslmode=maybe",
    "postgres://a:%zz@h/x",
    "postgres://a%ff@h/x",
    "postgres://h/%",
  ],
  dbPort: ["x"],
  dbPoolMax: ["1", "1001"],
  eventlogPartitions: ["0", "257"],
  eventlogQueueEntries: ["99"],
  appendTimeoutMs: ["99", "60001"],
  eventlogRetentionDays: ["0", "3651"],
  eventlogRetentionMaxDays: ["0"],
  eventlogNotify: ["maybe"],
  inboxRetentionMonths: ["-1"],
  webhookToleranceS: ["0", "86401"],
  rateSource: ["0", "-1", "1/0", "10/", "/10", "a/b", "1/1.5", "Infinity"],
  rateIp: ["1//2"],
  ratePerson: ["0.5/0.5"],
  rateContact: ["1 / 2"],
  registration: ["perhaps"],
  corsOrigins: [
    "app.example.org",
    "https://app.example.org/",
    "https://app.example.org:443",
    "https://App.example.org",
    "https://me@app.example.org",
    "https://app.example.org, *",
    "null",
  ],
  vapidPublicKey: ["short", `${vapid.publicKey}A`, vapid.publicKey.slice(1), `+${vapid.publicKey.slice(1)}`],
  vapidPrivateKey: ["short", vapid.publicKey, "A".repeat(43)],
  vapidSubject: ["ops@example.com", "mailto:ops", "http://example.com", "mailto:a@b c"],
  webPushHosts: [
    "https://fcm.googleapis.com",
    "FCM.googleapis.com",
    "push.example.org:443",
    "*",
    "::1",
    "a.*.org",
  ],
  currency: ["usd", "DOLLAR", "XTS", "ABC", "USD,EUR"],
  paymentSecrets: [
    `${secret}`,
    `:${secret}`,
    `Shop:${secret}`,
    `${"s".repeat(33)}:${secret}`,
    "shop:whsec_c2hvcnQ=",
    `shop:${secret?.replace("whsec_", "")}`,
    `shop:${secret}x`,
    `shop:${secret},shop:${secret}`,
    `shop:${secret},other:${secret}`,
    `shop:${secret},shop:${otherSecret},shop:${thirdSecret}`,
  ],
  rateConnect: ["0"],
  rateFrames: ["0/1"],
  connectionsPerAddress: ["0", "1000001"],
  connectionsPerUser: ["0"],
  jwtSecret: ["x".repeat(31)],
  jwtJwksUrl: ["id.example/keys", "ftp://id.example/keys"],
};

/** What an option needs beside it. */
const companions: Readonly<Partial<Record<keyof Config, Readonly<Record<string, string>>>>> = {
  jwtJwksUrl: { JWT_ISSUER: "https://id.example", JWT_AUDIENCE: "tidings" },
  vapidPublicKey: { VAPID_PRIVATE_KEY: vapid.privateKey },
  vapidPrivateKey: { VAPID_PUBLIC_KEY: vapid.publicKey },
  dbPort: { DB_HOST: "db.example" },
  dbUser: { DB_HOST: "db.example" },
  dbPassword: { DB_HOST: "db.example" },
  dbName: { DB_HOST: "db.example" },
};

const pair: ReadonlySet<keyof Config> = new Set(["vapidPublicKey", "vapidPrivateKey"] as const);
const names = Object.keys(options) as (keyof Config)[];
const problemsOf = (env: Readonly<Record<string, string>>): readonly string[] => {
  try {
    readConfig(env);
  } catch (error) {
    assert.ok(error instanceof StartupError);
    return error.message.split("\n");
  }
  return [];
};

test("every option is read from its own variable, white space around it removed", () => {
  for (const name of names) {
    // Neither of a pair is read without the other: a test of their own has them.
    if (pair.has(name)) continue;
    const [text, expected] = examples[name];
    const beside = companions[name] ?? {};
    const config = readConfig({ ...beside, [options[name].env]: ` ${text} ` });
    assert.deepEqual(config[name], expected, name);
    assert.deepEqual({ ...config, [name]: undefined }, { ...readConfig(beside), [name]: undefined }, name);
  }
});

test("an option that is not set or empty has its default", () => {
  const empty = Object.fromEntries(names.map((name) => [options[name].env, " "]));
  assert.deepEqual(readConfig(empty), readConfig({}));
  for (const name of names) assert.deepEqual(readConfig({})[name], options[name].default);
});

test("a text that an option cannot take is refused under the option's name", () => {
  for (const [name, texts] of Object.entries(refused)) {
    const { env } = options[name as keyof Config];
    for (const text of texts) {
      const problems = problemsOf({ ...companions[name as keyof Config], [env]: text });
      assert.equal(problems.length, 1, `${env}=${text}`);
      assert.match(problems[0] ?? "", new RegExp(`^${env}: .*must `));
    }
  }
});

test("all problems are reported at once", () => {
  const env = Object.entries(refused).map(([name, [text = ""]]) => [options[name as keyof Config].env, text]);
  const problems = problemsOf({
    ...Object.fromEntries(env),
    DB_HOST: "db.example",
    EVENTLOG_RETENTION_DAYS: "40",
    EVENTLOG_RETENTION_MAX_DAYS: "30",
  });
  assert.equal(problems.length, env.length - 2 + 1);
  assert.match(problems.at(-1) ?? "", /^EVENTLOG_RETENTION_MAX_DAYS: must not be less/);
});

test("a key set needs an issuer and an audience: otherwise tokens made for any other program are good here", () => {
  const JWT_JWKS_URL = "https://id.example/keys";
  const [JWT_ISSUER, JWT_AUDIENCE] = ["https://id.example", "tidings"];
  assert.deepEqual(
    problemsOf({ JWT_JWKS_URL }).map((problem) => problem.split(" beside")[0]),
    ["JWT_ISSUER: must be set", "JWT_AUDIENCE: must be set"],
  );
  assert.match(problemsOf({ JWT_JWKS_URL, JWT_ISSUER })[0] ?? "", /^JWT_AUDIENCE: must be set beside/);
  assert.match(problemsOf({ JWT_JWKS_URL, JWT_AUDIENCE })[0] ?? "", /^JWT_ISSUER: must be set beside/);
  assert.deepEqual(problemsOf({ JWT_JWKS_URL, JWT_ISSUER, JWT_AUDIENCE }), []);
  assert.deepEqual(problemsOf({ JWT_SECRET: "x".repeat(32) }), [], "a secret of one's own needs neither");
});

test("keys of web push are a pair: one alone, or one of another pair, is refused", () => {
  const [VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY] = [vapid.publicKey, vapid.privateKey];
  const config = readConfig({ VAPID_PUBLIC_KEY: ` ${VAPID_PUBLIC_KEY}= `, VAPID_PRIVATE_KEY });
  const { publicKey: vapidPublicKey, privateKey: vapidPrivateKey } = vapid;
  assert.deepEqual(config, { ...readConfig({}), vapidPublicKey, vapidPrivateKey });
  assert.match(problemsOf({ VAPID_PUBLIC_KEY })[0] ?? "", /^VAPID_PRIVATE_KEY: must be set beside VAPID_PUB/);
  assert.match(problemsOf({ VAPID_PRIVATE_KEY })[0] ?? "", /^VAPID_PUBLIC_KEY: must be set beside VAPID_PRI/);
  const mixed = problemsOf({ VAPID_PUBLIC_KEY: otherVapid.publicKey, VAPID_PRIVATE_KEY });
  assert.match(mixed[0] ?? "", /^VAPID_PUBLIC_KEY: must be the public key of VAPID_PRIVATE_KEY/);
  assert.doesNotMatch(mixed.join(), new RegExp(VAPID_PRIVATE_KEY));
});

test("what is wrong with payment secrets is told without a word of them", () => {
  const texts = [
    ...(refused.paymentSecrets ?? []),
    `shop:x${secret}`,
    `shop=${secret}`,
    `${secret}:${secret}`,
  ];
  for (const text of texts) {
    const told = problemsOf({ PAYMENT_SECRETS: text }).join();
    assert.match(told, /^PAYMENT_SECRETS: must /, text);
    assert.doesNotMatch(told, /YWFh|YmJi|Y2Nj|c2hv|whsec_[A-Za-z0-9+/]/, text);
  }
  // The same bytes, written otherwise.
  const padded = `whsec_${Buffer.alloc(25, 1).toString("base64")}`;
  const PAYMENT_SECRETS = `shop:${padded},other:${padded.replaceAll("=", "")}`;
  assert.match(problemsOf({ PAYMENT_SECRETS })[0] ?? "", /must not have a secret twice, and number 2 has/);
});

test("no outside issuer may be called as the server calls itself in its own tokens", () => {
  assert.match(problemsOf({ JWT_ISSUER: "tidings" })[0] ?? "", /^JWT_ISSUER: must not be "tidings"/);
  assert.deepEqual(problemsOf({ JWT_ISSUER: "https://tidings.example" }), []);
});

test("options of what is only planned are named when they are set", () => {
  const env = { REDIS_URL: "redis://cache", REDIS_HOST: "cache", REDIS_PORT: " ", PORT: "1", MY_REDIS: "x" };
  const kafka = { KAFKA_BROKERS: "a:9092", KAFKAESQUE: "x" };
  assert.deepEqual(ignoredOptions({ ...env, ...kafka }), ["KAFKA_BROKERS", "REDIS_HOST", "REDIS_URL"]);
  assert.deepEqual(ignoredOptions({}), []);
});

test("no problem repeats a secret", () => {
  const secrets = { JWT_SECRET: "hunter2", DATABASE_URL: "postgres://me:hunter2@/talk?sslmode=no" };
  const text = problemsOf(secrets).join("\n");
  assert.equal(problemsOf(secrets).length, 2);
  assert.doesNotMatch(text, /hunter2/);
});

test("DATABASE_URL wins over DB_*, and with neither the server brings its own", () => {
  assert.equal(databaseAddress(readConfig({})), undefined);
  const parts = { DB_HOST: "db.example", DB_PASSWORD: "secret" };
  assert.deepEqual(databaseAddress(readConfig(parts)), {
    host: "db.example",
    port: 5432,
    user: "tidings",
    database: "tidings",
    password: "secret",
  });
  const url = "postgresql://%2Frun%2Fpg/talk?sslmode=disable";
  assert.deepEqual(databaseAddress(readConfig({ ...parts, DATABASE_URL: url })), {
    host: "/run/pg",
    port: 5432,
    user: "postgres",
    database: "talk",
  });
});

test("parts of an address without its host are refused by name: they would lead to a second, empty system", () => {
  const parts = { DB_USER: "me", DB_PASSWORD: "hunter2", DB_NAME: "talk", DB_PORT: "5433" };
  const without = "must have DB_HOST beside them, without which the server brings a database of its own";
  assert.deepEqual(problemsOf(parts), [`DB_PORT, DB_USER, DB_PASSWORD, DB_NAME: ${without}`]);
  const empty = { DB_USER: " ", DB_HOST: "", DATABASE_URL: " " };
  assert.deepEqual(problemsOf({ ...empty, DB_NAME: "talk" }), [`DB_NAME: ${without}`]);
  assert.deepEqual(problemsOf({ ...parts, DATABASE_URL: "postgres://db/talk" }), []);
  assert.deepEqual(problemsOf({ DB_HOSTNAME: "db", DB_POOL_MAX: "20" }), []);
});

test("the API and the metrics page cannot share a port of an address", () => {
  const problem = "METRICS_PORT: must not be the same as PORT";
  assert.deepEqual(problemsOf({ PORT: "5080", METRICS_PORT: "5080" }), [problem]);
  assert.deepEqual(problemsOf({ PORT: "5080", METRICS_PORT: "5080", METRICS_HOST: "0.0.0.0" }), [problem]);
  assert.deepEqual(problemsOf({ PORT: "5080", METRICS_PORT: "5080", METRICS_HOST: "::1" }), []);
  assert.deepEqual(problemsOf({ PORT: "5080", METRICS_PORT: "5080", ROLES: "worker" }), []);
  assert.deepEqual(problemsOf({ PORT: "0", METRICS_PORT: "0" }), []);
});

test("an IPv6 address to listen on may stand in brackets", () => {
  const { host, metricsHost } = readConfig({ HOST: "[::1]", METRICS_HOST: "[::]" });
  assert.deepEqual([host, metricsHost], ["::1", "::"]);
  assert.equal(readConfig({ HOST: "[localhost]" }).host, "[localhost]");
});

test("every option has a variable of its own and a sentence that says what it is for", () => {
  assert.equal(new Set(names.map((name) => options[name].env)).size, names.length);
  for (const name of names) {
    const { env, doc } = options[name];
    assert.match(env, /^[A-Z][A-Z0-9_]+$/);
    assert.ok(doc.length > 5 && !doc.endsWith("."), env);
  }
});

test(".env.example is made from the options, and what it shows are the defaults", async () => {
  const file = await readFile(new URL("../.env.example", import.meta.url), "utf8");
  assert.equal(file, envExample(), "write it anew: npx tidings config --example > .env.example");
  const shown = Object.fromEntries(
    [...file.matchAll(/^#([A-Z0-9_]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  assert.deepEqual(
    Object.keys(shown),
    names.map((name) => options[name].env),
  );
  const besideHost = { DB_HOST: "db.example" };
  assert.deepEqual(readConfig({ ...shown, ...besideHost }), readConfig(besideHost));
  assert.equal(path.resolve(shownDefault(options.dataDir)), readConfig({}).dataDir);
});
