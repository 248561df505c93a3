import assert from "node:assert/strict";
import { access, glob, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { limits } from "../protocol/limits.ts";
import { type Option, options, shownDefault } from "../src/config.ts";

/** What the documents say about files, options and limits is true. `WRITE_DOCS=1` writes the table of options anew. */

const root = path.join(import.meta.dirname, "..");
const operationsFile = path.join(root, "docs/operations.md");
/** Folders whose files are named in texts. */
const pathLike = /^(?:src|bin|protocol|sdk|docs|test|scripts|migrations|bench|\.ci)\/[\w./-]*$/;

type Document = { readonly file: string; readonly text: string };

async function readDocuments(): Promise<readonly Document[]> {
  const found: Document[] = [];
  for await (const file of glob(["*.md", "docs/**/*.md"], { cwd: root })) {
    found.push({ file, text: await readFile(path.join(root, file), "utf8") });
  }
  return found;
}

function withoutFences(text: string): string {
  return text.replaceAll(/^(```|~~~)[^]*?^\1/gm, "");
}

function headings(text: string): ReadonlySet<string> {
  const lines = withoutFences(text).matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...lines].map(([, line = ""]) =>
      line
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** The relative links of a document that lead nowhere, or to a heading that is not there. */
async function brokenLinks({ file, text }: Document): Promise<readonly string[]> {
  const links = [...withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  const broken: string[] = [];
  for (const link of links.filter((item) => !/^[a-z]+:/.test(item))) {
    const [target = "", anchor] = link.split("#");
    const full = target === "" ? path.join(root, file) : path.join(root, path.dirname(file), target);
    if (!(await exists(full))) broken.push(`${file}: ${link}`);
    else if (anchor !== undefined && !headings(await readFile(full, "utf8")).has(anchor)) {
      broken.push(`${file}: ${link} has no such heading`);
    }
  }
  return broken;
}

async function missingPaths({ file, text }: Document): Promise<readonly string[]> {
  const named = [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, name = ""]) => name);
  const missing: string[] = [];
  for (const name of named.filter((item) => pathLike.test(item))) {
    if (!(await exists(path.join(root, name)))) missing.push(`${file}: ${name}`);
  }
  return missing;
}

type NamedCode = { readonly path: string; readonly name: string };

/** Names that a text places in a file: `` `path`, `name` ``, `` `name` in `path` `` and `` `name` (`path`) ``. */
function namedCode(text: string): readonly NamedCode[] {
  const path = "`((?:src|bin|protocol|sdk|test|scripts|bench)/[\\w./-]+\\.(?:ts|mjs))`";
  const name = "`(#?[A-Za-z_$][\\w$]*)`";
  const plain = withoutFences(text).replaceAll(/\s+/g, " ");
  const after = [...plain.matchAll(new RegExp(`${path}, ${name}(?! (?:in )?\\(?\`)`, "g"))];
  const before = [...plain.matchAll(new RegExp(`${name} (?:in )?\\(?${path}`, "g"))];
  return [
    ...after.map(([, path = "", name = ""]) => ({ path, name })),
    ...before.map(([, name = "", path = ""]) => ({ path, name })),
  ];
}

/** Names that are not in the file that the text places them in. A file that is missing has none. */
async function misplacedNames({ file, text }: Document): Promise<readonly string[]> {
  const misplaced: string[] = [];
  for (const { path: target, name } of namedCode(text)) {
    const code = await readFile(path.join(root, target), "utf8").catch(() => "");
    const word = new RegExp(`(?<![\\w$#])${RegExp.escape(name)}(?![\\w$])`);
    if (!word.test(code)) misplaced.push(`${file}: ${name} is not in ${target}`);
  }
  return misplaced;
}

/** Rows of a Markdown table as their cells, without heading and rule. */
function cellsOf(table: string): readonly (readonly string[])[] {
  return table
    .trim()
    .split("\n")
    .slice(2)
    .map((row) =>
      row
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function optionRows(): readonly (readonly string[])[] {
  return (Object.values(options) as Option<unknown>[]).map((rule) => {
    const standard = shownDefault(rule);
    return [rule.group, `\`${rule.env}\``, standard === "" ? "not set" : `\`${standard}\``, rule.doc];
  });
}

const optionTable = /(<!-- options:[^\n]*-->\n)([^]*?)(<!-- \/options -->)/;

function writeOptions(text: string): string {
  const rows = [["group", "option", "default", "what it is"], ["-", "-", "-", "-"], ...optionRows()];
  const table = rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
  return text.replace(
    optionTable,
    (_, begin: string, _old: string, end: string) => `${begin}\n${table}\n\n${end}`,
  );
}

const documents = await readDocuments();

test("every relative link leads to a file, and to a heading of it", async () => {
  const broken = await Promise.all(documents.map(brokenLinks));
  assert.deepEqual(broken.flat(), []);
});

test("every path of this repository that a document names exists", async () => {
  const missing = await Promise.all(documents.map(missingPaths));
  assert.deepEqual(missing.flat(), []);
});

test("every function and type that a document places in a file is there", async () => {
  const misplaced = await Promise.all(documents.map(misplacedNames));
  assert.deepEqual(misplaced.flat(), []);
  const way = documents.find(({ file }) => file === "docs/architecture.md");
  assert.ok(namedCode(way?.text ?? "").length > 15, "the way of a webhook is named function by function");
});

test("a link, a path and a name that lead nowhere are found", async () => {
  const planted = {
    file: "docs/planted.md",
    text: `[a](nowhere.md) and [b](errors.md#nothing) and \`src/nothing.ts\`. \`src/app.ts\`, \`commitBatch\`; \`write\`
      in \`src/modules.ts\`, \`Verb\` (\`src/app.ts\`); \`src/app.ts\`, \`createApp\``,
  };
  assert.equal((await brokenLinks(planted)).length, 2);
  assert.equal((await missingPaths(planted)).length, 1);
  assert.deepEqual(await misplacedNames(planted), [
    "docs/planted.md: commitBatch is not in src/app.ts",
    "docs/planted.md: write is not in src/modules.ts",
    "docs/planted.md: Verb is not in src/app.ts",
  ]);
});

test("docs/operations.md lists the options as the option table has them", async () => {
  if (process.env["WRITE_DOCS"] === "1") {
    await writeFile(operationsFile, writeOptions(await readFile(operationsFile, "utf8")));
  }
  const text = await readFile(operationsFile, "utf8");
  const [, , table = ""] = optionTable.exec(text) ?? [];
  const howTo = "WRITE_DOCS=1 npm test -- test/docs.test.ts, then npm run format";
  assert.deepEqual(cellsOf(table), optionRows(), howTo);
});

test("docs/operations.md lists every limit with its value", async () => {
  const text = await readFile(operationsFile, "utf8");
  const rows = [...text.matchAll(/^\| `(\w+)` +\| ([\d,]+) +\|/gm)];
  const listed = Object.fromEntries(
    rows.map(([, name = "", value = ""]) => [name, Number(value.replaceAll(",", ""))]),
  );
  assert.deepEqual(listed, limits);
});

test("a socket directory that is given to psql is absolute: it takes anything else for the name of a host", () => {
  const given = documents.flatMap(({ file, text }) =>
    [...text.matchAll(/\bpsql -h ("?)(\S+)/g)].map(([, , host = ""]) => ({ file, host })),
  );
  assert.ok(given.length > 1);
  assert.deepEqual(
    given.filter(({ host }) => host.includes("/") && !/^(?:\/|\$PWD\/)/.test(host)),
    [],
  );
});
