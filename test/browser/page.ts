import { readFile } from "node:fs/promises";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

/**
 * The page of a browser's journey: it loads the package as it is published, without a bundler, and leaves what the
 * journey needs in `page`. The server it talks to is named in its query and is of another origin.
 */
const html = `<!doctype html>
<meta charset="utf-8" />
<title>Tidings</title>
<script type="importmap">
  {
    "imports": {
      "tidings-client": "/package/sdk/client.js",
      "tidings-client/": "/package/sdk/"
    }
  }
</script>
<script type="module">
  import { createClient } from "tidings-client";
  import { openChat } from "tidings-client/chat-store.js";
  import { newestMessages } from "tidings-client/chat-state.js";
  import { indexedDbStorage } from "tidings-client/indexed-db-storage.js";

  const problems = [];
  addEventListener("error", ({ message }) => problems.push(message));
  addEventListener("unhandledrejection", ({ reason }) => problems.push(String(reason)));
  const client = createClient({
    url: new URL(location.href).searchParams.get("server"),
    storage: indexedDbStorage(indexedDB),
    onStorageError: ({ cause }) => problems.push(String(cause)),
  });
  globalThis.page = {
    client,
    problems,
    chat: undefined,
    open: async () => {
      page.chat = await openChat(client);
      await page.chat.openRoom(1);
    },
    state: () => client.connection.get().state,
    messages: () => newestMessages(page.chat.get().rooms[1]).map(({ seq, content }) => [seq, content]),
    pending: () => page.chat.outbox.get().map(({ content, status }) => content),
  };
</script>
`;

export type PageServer = { readonly origin: string };
type Cleanup = { after(callback: () => Promise<void>): void };

/** Serves the page, and the package that was built into `target`. */
export async function servePage(t: Cleanup, target: string): Promise<PageServer> {
  const server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://page");
    const answer = async (): Promise<void> => {
      if (pathname === "/") {
        response.setHeader("content-type", "text/html").end(html);
      } else if (pathname.startsWith("/package/")) {
        const code = await readFile(path.join(target, pathname.slice("/package/".length)));
        response.setHeader("content-type", "text/javascript").end(code);
      } else response.writeHead(404).end();
    };
    answer().catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
