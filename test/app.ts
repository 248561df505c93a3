import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import assert from "node:assert/strict";
import type { Static, TSchema } from "typebox";
import { Value } from "typebox/value";
import type { Problem } from "../protocol/errors.ts";
import type { Scope } from "../protocol/scopes.ts";
import { type App, createApp } from "../src/app.ts";
import { type Config, readConfig } from "../src/config.ts";
import { createTestDatabase, testLog } from "./harness.ts";

/** A whole server in this process, on a database of its own and on free ports. */
export type TestApp = {
  readonly app: App;
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** An API key with these scopes, bound to a source if one is named. */
  readonly key: (scopes: readonly Scope[], sourceId?: number) => Promise<string>;
  readonly request: (method: string, path: string, options?: RequestOptions) => Promise<Answer>;
};

export type RequestOptions = {
  readonly key?: string;
  readonly json?: unknown;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
};

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The answer's JSON, which must fit the schema. */
  as<S extends TSchema>(schema: S): Static<S>;
  /** The answer as RFC 9457 describes errors. */
  problem(): Problem;
};

type Cleanup = { after(callback: () => Promise<void>): void };

/** Starts it; it is closed, and its database dropped, after the test. `settings` are options by their environment names. */
export async function startTestApp(
  t: Cleanup,
  settings: Readonly<Record<string, string>> = {},
): Promise<TestApp> {
  const closing: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const database = await createTestDatabase(t);
  const dataDir = await mkdtemp(path.join(os.tmpdir(), "tidings-app-"));
  closing.push(() => rm(dataDir, { recursive: true, force: true }));
  const base = readConfig({ PORT: "0", METRICS_PORT: "0", DATA_DIR: dataDir, ...settings });
  const config: Config = { ...base, databaseUrl: database };
  const app = await createApp(config, { log: testLog });
  closing.unshift(() => app.close());
  return clientOf(app);
}

/** What asks a server that a test has started itself. */
export function clientOf(app: App): TestApp {
  const url = `http://127.0.0.1:${app.api?.port ?? 0}`;
  return {
    app,
    url,
    key: async (scopes, sourceId) => {
      const { secret } = await app.deps.access.apiKeys.create({
        name: "test",
        scopes,
        ...(sourceId === undefined ? {} : { sourceId }),
      });
      return secret;
    },
    request: (method, route, options) => request(url, method, route, options),
  };
}

async function request(
  url: string,
  method: string,
  route: string,
  options: RequestOptions = {},
): Promise<Answer> {
  const { key, json, body = json === undefined ? undefined : JSON.stringify(json), headers } = options;
  const response = await fetch(`${url}${route}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    as: <S extends TSchema>(schema: S) => {
      const value: unknown = JSON.parse(text);
      assert.deepEqual([...Value.Errors(schema, value)], [], text);
      return value as Static<S>;
    },
    problem: () => {
      assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/);
      return JSON.parse(text) as Problem;
    },
  };
}
