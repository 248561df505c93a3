import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { testLog } from "../test/harness.ts";
import { createApp } from "./app.ts";
import { readConfig } from "./config.ts";
import { atEnd, quick, tempDir } from "./embedded/embedded.fixture.ts";

for (const cutStep of ["migrating", "starting the worker"]) {
  test(`a start goes on when the embedded PostgreSQL dies while it is ${cutStep}`, async (t) => {
    const dataDir = tempDir(t);
    const config = readConfig({ PORT: "0", METRICS_PORT: "off", DATA_DIR: dataDir });
    let killed = 0;
    const app = await createApp(config, {
      log: testLog,
      embeddedSettings: quick,
      developmentKeyAllowed: true,
      onProgress: (step) => {
        if (step !== cutStep) return;
        const [pid] = readFileSync(path.join(dataDir, "postgres", "postmaster.pid"), "utf8").split("\n");
        process.kill(Number(pid), "SIGKILL");
        killed++;
      },
    });
    atEnd(t, () => app.close());
    assert.equal(killed, 1);
    const response = await fetch(`http://127.0.0.1:${app.api?.port ?? 0}/health/live`);
    assert.equal(response.status, 200);
  });
}
