import path from "node:path";
import { limits } from "../protocol/limits.ts";
import { StartupError } from "./lib/errors.ts";
import type { DbAddress } from "./lib/db.ts";
import { type LogLevel, logLevels } from "./lib/logger.ts";
import * as parse from "./config-parse.ts";
import { type Environment, contradictions, setAmong } from "./config-rules.ts";

/** One option: its environment name, how its text is read, what holds when it is not set, and what it is for. */
export type Option<T> = {
  readonly env: string;
  readonly parse: (text: string) => T;
  readonly default: T;
  /** How `.env.example` and `--help` show the default, where its value would not explain itself. */
  readonly shown?: string;
  readonly secret?: boolean;
  readonly group: string;
  readonly doc: string;
};

function option<T>(group: string, env: string, rule: Omit<Option<T>, "env" | "group">): Option<T> {
  return { group, env, ...rule };
}

export const roleNames = ["api", "gateway", "worker"] as const;
export type RoleName = (typeof roleNames)[number];

/** Every option there is. `Config`, `--help`, `.env.example` and `docs/operations.md` are made from this table. */
export const options = {
  host: option("Listening", "HOST", {
    parse: parse.host,
    default: "127.0.0.1",
    doc: "address to listen on; anything but loopback needs JWT_SECRET or JWT_JWKS_URL",
  }),
  port: option("Listening", "PORT", {
    parse: parse.port,
    default: 5000,
    doc: "port of the HTTP API; 0 takes a free one",
  }),
  metricsHost: option("Listening", "METRICS_HOST", {
    parse: parse.host,
    default: "127.0.0.1",
    doc: "address that the Prometheus page listens on, whatever HOST is: it asks nobody for a credential",
  }),
  metricsPort: option("Listening", "METRICS_PORT", {
    parse: parse.portOrOff,
    default: 2112,
    doc: "port of the Prometheus page /metrics; 0 takes a free one, off closes it",
  }),
  maxConnections: option("Listening", "MAX_CONNECTIONS", {
    parse: parse.count(1, 1_000_000),
    default: 10_000,
    doc: "open connections; further ones are refused",
  }),
  trustProxy: option("Listening", "TRUST_PROXY", {
    parse: parse.networks,
    default: [] as readonly string[],
    shown: "",
    doc: "addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas",
  }),
  requestTimeoutMs: option("Listening", "REQUEST_TIMEOUT_MS", {
    parse: parse.count(100, 600_000),
    default: 10_000,
    doc: "milliseconds in which a request must have arrived in full",
  }),
  roles: option("Process", "ROLES", {
    parse: parse.words(roleNames),
    default: [...roleNames],
    shown: "api,gateway,worker",
    doc: "what this process does: api (HTTP), gateway (WebSockets), worker (consumers and timers)",
  }),
  dataDir: option("Process", "DATA_DIR", {
    parse: (value) => path.resolve(value),
    default: path.resolve(".tidings"),
    shown: ".tidings",
    doc: "where everything lies that the server keeps on disk",
  }),
  logLevel: option<LogLevel>("Process", "LOG_LEVEL", {
    parse: parse.word(logLevels),
    default: "info",
    doc: `one of ${logLevels.join(", ")}`,
  }),
  databaseUrl: option<DbAddress | undefined>("Database", "DATABASE_URL", {
    parse: parse.databaseUrl,
    default: undefined,
    secret: true,
    shown: "",
    doc: "postgres://user:password@host:5432/name of a PostgreSQL 15 or newer; wins over DB_*; without either the server brings its own",
  }),
  dbHost: option<string | undefined>("Database", "DB_HOST", {
    parse: parse.text,
    default: undefined,
    shown: "",
    doc: "host of a PostgreSQL, as an alternative to DATABASE_URL",
  }),
  dbPort: option("Database", "DB_PORT", { parse: parse.port, default: 5432, doc: "its port" }),
  dbUser: option("Database", "DB_USER", { parse: parse.text, default: "tidings", doc: "its user" }),
  dbPassword: option<string | undefined>("Database", "DB_PASSWORD", {
    parse: parse.text,
    default: undefined,
    secret: true,
    shown: "",
    doc: "its password",
  }),
  dbName: option("Database", "DB_NAME", { parse: parse.text, default: "tidings", doc: "its database" }),
  dbPoolMax: option("Database", "DB_POOL_MAX", {
    parse: parse.count(2, 1_000),
    default: 10,
    doc: "connections of the shared pool; the event log has four of its own",
  }),
  embeddedUser: option<string | undefined>("Database", "EMBEDDED_USER", {
    parse: parse.text,
    default: undefined,
    shown: "",
    doc: "system user that the embedded PostgreSQL runs as when the server is started by root",
  }),
  eventlogPartitions: option("Event log", "EVENTLOG_PARTITIONS", {
    parse: parse.count(1, 256),
    default: 16,
    doc: "partitions of the log; fixed by the first start",
  }),
  eventlogQueueEntries: option("Event log", "EVENTLOG_QUEUE_ENTRIES", {
    parse: parse.count(100, 1_000_000),
    default: 20_000,
    doc: "entries that may wait for their commit; beyond it requests get 503",
  }),
  appendTimeoutMs: option("Event log", "APPEND_TIMEOUT_MS", {
    parse: parse.count(100, 60_000),
    default: 5_000,
    doc: "milliseconds that an append may wait for durability before it is answered 503",
  }),
  eventlogRetentionDays: option("Event log", "EVENTLOG_RETENTION_DAYS", {
    parse: parse.count(1, 3_650),
    default: 30,
    doc: "days that an entry stays in the log once every consumer has seen it",
  }),
  eventlogRetentionMaxDays: option("Event log", "EVENTLOG_RETENTION_MAX_DAYS", {
    parse: parse.count(1, 3_650),
    default: 90,
    doc: "days after which it is removed even if a consumer lags",
  }),
  eventlogNotify: option("Event log", "EVENTLOG_NOTIFY", {
    parse: parse.onOff,
    default: true,
    shown: "on",
    doc: "wake other processes through LISTEN/NOTIFY; off: they poll",
  }),
  inboxRetentionMonths: option("Inbox", "INBOX_RETENTION_MONTHS", {
    parse: parse.count(0, 1_200),
    default: 0,
    doc: "months that messages from outside messengers are kept; 0 keeps them for ever",
  }),
  webhookToleranceS: option("Inbox", "WEBHOOK_TOLERANCE_S", {
    parse: parse.count(1, 86_400),
    default: 300,
    doc: "seconds by which a signed webhook's timestamp may differ from the server's clock",
  }),
  notificationTtls: option("Notifications", "NOTIFICATION_TTL", {
    parse: parse.ttls,
    default: { defaultS: limits.notificationTtlDefaultS, bySource: new Map<string, number>() },
    shown: String(limits.notificationTtlDefaultS),
    doc: "seconds until a notification ends unless its request says so; and for sources of their own: 900,billing=86400",
  }),
  vapidPublicKey: option<string | undefined>("Notifications", "VAPID_PUBLIC_KEY", {
    parse: parse.base64url(65),
    default: undefined,
    shown: "",
    doc: "public key of web push, as npx web-push generate-vapid-keys prints it; without it and VAPID_PRIVATE_KEY a pair is made and kept in the database",
  }),
  vapidPrivateKey: option<string | undefined>("Notifications", "VAPID_PRIVATE_KEY", {
    parse: parse.base64url(32),
    default: undefined,
    secret: true,
    shown: "",
    doc: "its private key; with another pair every browser has to subscribe anew",
  }),
  vapidSubject: option("Notifications", "VAPID_SUBJECT", {
    parse: parse.contact,
    default: "mailto:nobody@example.org",
    doc: "whom push services write to when something is wrong with what you send: mailto: or https:",
  }),
  webPushHosts: option("Notifications", "WEB_PUSH_HOSTS", {
    parse: parse.hosts,
    default: [] as readonly string[],
    shown: "",
    doc: "hosts of push services that are called, such as fcm.googleapis.com, *.push.services.mozilla.com, and those in networks of your own; without it all that are in none",
  }),
  currency: option("Money", "CURRENCY", {
    parse: parse.currency,
    default: { code: "USD", scale: 2 },
    shown: "USD",
    doc: "currency of all money, as ISO 4217 has it; a server whose ledger holds money in another one does not start",
  }),
  paymentSecrets: option("Money", "PAYMENT_SECRETS", {
    parse: parse.paymentSecrets,
    default: new Map<string, readonly string[]>(),
    secret: true,
    shown: "",
    doc: "payment providers and their secrets, such as shop:whsec_…, separated by commas; two of one provider while it changes; without any there are only demo top-ups",
  }),
  rateSource: option("Limits", "RATE_LIMIT_SOURCE", {
    parse: parse.rate,
    default: { perSecond: 20_000, burst: 40_000 },
    shown: "20000/40000",
    doc: "webhooks per second and burst of one source",
  }),
  rateIp: option("Limits", "RATE_LIMIT_IP", {
    parse: parse.rate,
    default: { perSecond: 10_000, burst: 20_000 },
    shown: "10000/20000",
    doc: "requests per second and burst of one address (a messenger's platform sends from few)",
  }),
  ratePerson: option("Limits", "RATE_LIMIT_PERSON", {
    parse: parse.rate,
    default: { perSecond: 50, burst: 1_000 },
    shown: "50/1000",
    doc: "requests per second and burst of one person, over HTTP and all their WebSockets; API keys have none",
  }),
  rateContact: option("Limits", "RATE_LIMIT_CONTACT", {
    parse: parse.rate,
    default: { perSecond: 10, burst: 100 },
    shown: "10/100",
    doc: "new messages per second and burst of one contact",
  }),
  rateConnect: option("Limits", "RATE_LIMIT_CONNECT", {
    parse: parse.rate,
    default: { perSecond: 100, burst: 1_000 },
    shown: "100/1000",
    doc: "WebSocket handshakes per second and burst of one address",
  }),
  rateFrames: option("Limits", "RATE_LIMIT_FRAMES", {
    parse: parse.rate,
    default: { perSecond: 50, burst: 200 },
    shown: "50/200",
    doc: "frames per second and burst of one WebSocket",
  }),
  connectionsPerAddress: option("Limits", "CONNECTIONS_PER_ADDRESS", {
    parse: parse.count(1, 1_000_000),
    default: 2_000,
    doc: "open WebSockets of one address",
  }),
  connectionsPerUser: option("Limits", "CONNECTIONS_PER_USER", {
    parse: parse.count(1, 1_000_000),
    default: 50,
    doc: "open WebSockets of one person or API key",
  }),
  rateRefused: option("Limits", "RATE_LIMIT_REFUSED", {
    parse: parse.rate,
    default: { perSecond: 50, burst: 500 },
    shown: "50/500",
    doc: "wrong credentials per second and burst of one address; good ones do not count",
  }),
  rateRegister: option("Limits", "RATE_LIMIT_REGISTER", {
    parse: parse.rate,
    default: { perSecond: 1, burst: 20 },
    shown: "1/20",
    doc: "registrations per second and burst of one address",
  }),
  registration: option("Access", "REGISTRATION", {
    parse: parse.onOff,
    default: true,
    shown: "on",
    doc: "whether anybody may register; off: people are made by those who may manage them",
  }),
  corsOrigins: option("Access", "CORS_ORIGINS", {
    parse: parse.origins,
    default: [] as readonly string[],
    shown: "",
    doc: "origins of pages elsewhere that may use the server, such as https://app.example.org, separated by commas; * is every page",
  }),
  jwtSecret: option<string | undefined>("Access", "JWT_SECRET", {
    parse: parse.secret(32),
    default: undefined,
    secret: true,
    shown: "",
    doc: "secret of HS256 tokens, the server's own too, at least 32 characters; without it and JWT_JWKS_URL a development secret is made",
  }),
  jwtJwksUrl: option<URL | undefined>("Access", "JWT_JWKS_URL", {
    parse: parse.httpUrl,
    default: undefined,
    shown: "",
    doc: "URL of the key set of an outside issuer; needs JWT_ISSUER and JWT_AUDIENCE beside it; people sign in only there unless JWT_SECRET is set",
  }),
  jwtIssuer: option<string | undefined>("Access", "JWT_ISSUER", {
    parse: parse.text,
    default: undefined,
    shown: "",
    doc: "required issuer of tokens that other programs make",
  }),
  jwtAudience: option<string | undefined>("Access", "JWT_AUDIENCE", {
    parse: parse.text,
    default: undefined,
    shown: "",
    doc: "required audience of tokens that other programs make",
  }),
} as const;

type OptionName = keyof typeof options;
export type Config = { readonly [K in OptionName]: (typeof options)[K] extends Option<infer T> ? T : never };

/**
 * Reads the options from an environment. All problems are reported at once, in one `StartupError`.
 */
export function readConfig(env: Environment): Config {
  const problems: string[] = [];
  const values = Object.entries(options).map(([name, rule]: [string, Option<unknown>]) => {
    const text = env[rule.env]?.trim();
    if (text === undefined || text === "") return [name, rule.default];
    try {
      return [name, rule.parse(text)];
    } catch (error) {
      problems.push(`${rule.env}: ${error instanceof Error ? error.message : String(error)}`);
      return [name, rule.default];
    }
  });
  const config = Object.fromEntries(values) as Config;
  problems.push(...contradictions(config, env));
  if (problems.length > 0) throw new StartupError(problems.join("\n"));
  return config;
}

/**
 * Names of options that are set and not used yet, Redis and Kafka being planned: whoever sets them believes something
 * about this server that is not so.
 */
export function ignoredOptions(env: Environment): readonly string[] {
  return setAmong(
    env,
    Object.keys(env).filter((name) => /^(?:KAFKA|REDIS)_/.test(name)),
  ).toSorted();
}

/** The address of the outside PostgreSQL, or undefined when the server brings its own. */
export function databaseAddress(config: Config): DbAddress | undefined {
  if (config.databaseUrl !== undefined) return config.databaseUrl;
  if (config.dbHost === undefined) return undefined;
  return {
    host: config.dbHost,
    port: config.dbPort,
    user: config.dbUser,
    database: config.dbName,
    ...(config.dbPassword === undefined ? {} : { password: config.dbPassword }),
  };
}

/** The text of `.env.example`. */
export function envExample(): string {
  const lines = [
    "# Every option of Tidings with its default. Made from src/config.ts: npx tidings config --example",
  ];
  let group = "";
  for (const rule of Object.values(options) as Option<unknown>[]) {
    if (rule.group !== group) lines.push("", `# ${rule.group}`);
    group = rule.group;
    lines.push(`# ${rule.doc}`, `#${rule.env}=${shownDefault(rule)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** How the default of an option is written. */
export function shownDefault(rule: Option<unknown>): string {
  return rule.shown ?? String(rule.default);
}
