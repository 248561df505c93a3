import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { MessagesPage } from "../../protocol/chat.ts";
import { uuidv7 } from "../../protocol/ids.ts";
import { buildPackage } from "../../scripts/sdk-package.ts";
import { eventually } from "../harness.ts";
import { openAccounts, password } from "../journeys/accounts.ts";
import { findChromium } from "../programs.ts";
import { type Tab, startChromium } from "./chromium.ts";
import { servePage } from "./page.ts";

/*
 * The client in a real browser: its WebSocket, its `fetch` from a page of another origin, its IndexedDB, its `online` and
 * `offline`, and two tabs that share a storage. What is decided in these moments, other tests hold in all its cases.
 */

const chromium = findChromium();

test(
  "a page keeps up and loses nothing: without a network, over a reload, and beside another tab",
  { skip: chromium.skip },
  async (t) => {
    assert.ok(chromium.file !== undefined, "there is no Chromium");
    const target = await mkdtemp(path.join(os.tmpdir(), "tidings-package-"));
    t.after(() => rm(target, { recursive: true, force: true }));
    await buildPackage(target);
    const { origin } = await servePage(t, target);
    const accounts = await openAccounts(t, { CORS_ORIGINS: origin });
    const page = `${origin}/?server=${encodeURIComponent(accounts.url)}`;
    const bob = await accounts.register();
    const say = async (content: string): Promise<void> => {
      const body = { client_msg_id: uuidv7(), content };
      const said = await accounts.post("/api/v1/rooms/1/messages", body, bob.access_token);
      assert.equal(said.status, 201, said.text);
    };
    const browser = await startChromium(t, chromium.file);
    const first = await browser.openTab();
    const becomes = async (tab: Tab, expression: string, wanted: unknown): Promise<void> => {
      let last: unknown;
      await eventually(
        expression,
        async () => JSON.stringify((last = await tab.value(expression))) === JSON.stringify(wanted),
        30_000,
      ).catch(() => assert.deepEqual(last, wanted));
    };
    const said: [number, string][] = [];
    const expectSaid = async (tab: Tab, ...contents: readonly string[]): Promise<void> => {
      for (const content of contents) said.push([said.length + 1, content]);
      await becomes(tab, "page.messages()", said);
      assert.deepEqual(await tab.value("page.pending()"), []);
    };

    await t.test("a refusal reads as one, also from another origin", async () => {
      await first.go(page);
      const refusal = `page.client.accounts.login({ login: "nobody", password: "wrong wrong" }).catch(({ code }) => code)`;
      assert.equal(await first.value(refusal), "unauthorized");
    });

    await t.test("somebody registers, writes, and hears what others write", async () => {
      const ann = { username: "ann", email: "ann@example.com", password };
      await first.value(`page.client.accounts.register(${JSON.stringify(ann)})`);
      await first.value("page.open()");
      await becomes(first, "page.state()", "open");
      await first.value(`page.chat.send(1, "hello")`);
      await expectSaid(first, "hello");
      await say("welcome");
      await expectSaid(first, "welcome");
    });

    await t.test(
      "what is written and said while there is no network comes once there is, once and in order",
      async () => {
        await first.setOffline(true);
        await becomes(first, "page.state()", "offline");
        await first.value(`page.chat.send(1, "written offline")`);
        await first.value(`page.chat.send(1, "and this")`);
        for (const content of ["said meanwhile", "and meanwhile"]) await say(content);
        assert.deepEqual(await first.value("page.pending()"), ["written offline", "and this"]);
        await first.setOffline(false);
        await becomes(first, "page.state()", "open");
        await expectSaid(first, "said meanwhile", "and meanwhile", "written offline", "and this");
      },
    );

    await t.test(
      "what could not be sent is sent after a reload, and nobody has to sign in again",
      async () => {
        await first.setOffline(true);
        await becomes(first, "page.state()", "offline");
        await first.value(`page.chat.send(1, "before the reload")`);
        // The page goes while there is no network, and comes back when there is one.
        await first.go("about:blank");
        await first.setOffline(false);
        await say("while it was gone");
        await first.go(page);
        await first.value("page.open()");
        assert.equal(await first.value("page.client.account.get().username"), "ann");
        await expectSaid(first, "while it was gone", "before the reload");
      },
    );

    await t.test(
      "a second tab is signed in, shows the same, and sends what the first one could not",
      async () => {
        await first.setOffline(true);
        await becomes(first, "page.state()", "offline");
        await first.value(`page.chat.send(1, "from the first tab")`);
        const second = await browser.openTab();
        await second.go(page);
        await second.value("page.open()");
        await expectSaid(second, "from the first tab");
        await first.setOffline(false);
        await expectSaid(first);
        await second.value(`page.chat.send(1, "from the second tab")`);
        await expectSaid(first, "from the second tab");
        await expectSaid(second);

        // Signing out in one tab is signing out in the other; signing in again there is its own.
        await first.value("page.client.accounts.logout()");
        await becomes(second, "page.client.account.get() === undefined", true);
        assert.deepEqual(await second.value("page.problems"), []);
        await second.close();
      },
    );

    assert.deepEqual(await first.value("page.problems"), []);
    const pages = await accounts.request("GET", "/api/v1/rooms/1/messages", { key: bob.access_token });
    const { items } = JSON.parse(pages.text) as MessagesPage;
    assert.deepEqual(
      items.map(({ seq, content }) => [seq, content]),
      said,
    );
  },
);
