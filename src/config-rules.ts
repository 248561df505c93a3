import { createECDH } from "node:crypto";
import { ownName } from "./access/own-name.ts";

/** Options as they arrive: texts by their environment names. */
export type Environment = Readonly<Record<string, string | undefined>>;

type Values = {
  readonly roles: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly metricsHost: string;
  readonly metricsPort: number | undefined;
  readonly eventlogRetentionDays: number;
  readonly eventlogRetentionMaxDays: number;
  readonly jwtJwksUrl: URL | undefined;
  readonly jwtIssuer: string | undefined;
  readonly jwtAudience: string | undefined;
  readonly vapidPublicKey: string | undefined;
  readonly vapidPrivateKey: string | undefined;
};

/** What is wrong with options that can each be read: sentences that begin with their names. */
export function contradictions(config: Values, env: Environment): readonly string[] {
  const problems: string[] = [];
  const ofDatabase = setAmong(env, ["DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME"]);
  if (ofDatabase.length > 0 && setAmong(env, ["DATABASE_URL", "DB_HOST"]).length === 0) {
    problems.push(
      `${ofDatabase.join(", ")}: must have DB_HOST beside them, without which the server brings a database of its own`,
    );
  }
  if (
    (config.roles.includes("api") || config.roles.includes("gateway")) &&
    config.port !== 0 &&
    config.port === config.metricsPort
  ) {
    if (overlap(config.host, config.metricsHost)) problems.push("METRICS_PORT: must not be the same as PORT");
  }
  if (config.eventlogRetentionMaxDays < config.eventlogRetentionDays) {
    problems.push("EVENTLOG_RETENTION_MAX_DAYS: must not be less than EVENTLOG_RETENTION_DAYS");
  }
  if (config.jwtJwksUrl !== undefined && config.jwtIssuer === undefined) {
    problems.push(
      "JWT_ISSUER: must be set beside JWT_JWKS_URL, since the keys there may be shared by several issuers",
    );
  }
  if (config.jwtJwksUrl !== undefined && config.jwtAudience === undefined) {
    problems.push(
      "JWT_AUDIENCE: must be set beside JWT_JWKS_URL, or tokens that were made for any other program are good here",
    );
  }
  if (config.jwtIssuer === ownName) {
    problems.push(
      `JWT_ISSUER: must not be "${ownName}", since that is what the server calls itself in its own tokens`,
    );
  }
  problems.push(...vapidProblems(config, env));
  return problems;
}

function vapidProblems({ vapidPublicKey, vapidPrivateKey }: Values, env: Environment): readonly string[] {
  const names = ["VAPID_PUBLIC_KEY", "VAPID_PRIVATE_KEY"];
  const [one, ...more] = setAmong(env, names);
  if (one !== undefined && more.length === 0)
    return [`${names.find((name) => name !== one)}: must be set beside ${one}, or neither`];
  if (vapidPublicKey === undefined || vapidPrivateKey === undefined) return [];
  const pair = createECDH("prime256v1");
  try {
    pair.setPrivateKey(vapidPrivateKey, "base64url");
  } catch {
    return ["VAPID_PRIVATE_KEY: must be a key of the curve P-256"];
  }
  if (pair.getPublicKey("base64url") === vapidPublicKey) return [];
  return ["VAPID_PUBLIC_KEY: must be the public key of VAPID_PRIVATE_KEY, and is that of another one"];
}

/** Those of `names` that are set to something. */
export function setAmong(env: Environment, names: readonly string[]): readonly string[] {
  return names.filter((name) => (env[name] ?? "").trim() !== "");
}

/** Whether two listeners on one port would be in each other's way. */
function overlap(one: string, other: string): boolean {
  return one === other || [one, other].some((host) => host === "0.0.0.0" || host === "::");
}
