import assert from "node:assert/strict";
import { test } from "node:test";
import { parseVerbArgs } from "./args.ts";
import { findVerb } from "./find-verb.ts";
import { loadSettings } from "./settings.ts";
import { UsageError, type Verb } from "./verb.ts";
import { verbs } from "./verbs.ts";

const settings = await loadSettings();

function parse(line: string) {
  const found = findVerb(verbs, line.split(" "));
  assert.equal(found.kind, "verb");
  return parseVerbArgs(found.verb, found.rest, found.verb.settings ? settings : []);
}

function refuses(line: string, message: RegExp): void {
  assert.throws(
    () => parse(line),
    (error: unknown) => {
      assert.ok(error instanceof UsageError, `${line}: ${String(error)}`);
      assert.match(error.message, message);
      return true;
    },
  );
}

test("every verb has a summary and an example that is a valid command line of its own", () => {
  for (const verb of verbs) {
    assert.notEqual(verb.summary, "");
    const [line = ""] = verb.example.split(" >");
    const found = findVerb(verbs, line.split(" "));
    assert.ok(found.kind === "verb" && found.verb === verb, verb.name);
    parse(line);
  }
});

test("names of verbs are unique, and no option of a verb hides a setting", () => {
  assert.equal(new Set(verbs.map(({ name }) => name)).size, verbs.length);
  const flags = new Set(settings.map(({ flag }) => flag));
  for (const verb of verbs) {
    for (const name of Object.keys(verb.options)) assert.ok(!flags.has(name) && name !== "help", name);
  }
});

test("an unknown verb names the nearest one", () => {
  refuses("srve", /no verb "srve"\. Did you mean "serve"\?/);
  refuses("key crate shop", /no verb "key crate"\. Did you mean "key create"\?/);
  refuses("keys list", /no verb "keys"\. Did you mean "key list"\?/);
  refuses("kye", /Did you mean "key"\?/);
  refuses("dead foo", /no verb "dead foo"\. After "dead" comes one of: list, show, retry, drop\.$/);
  refuses("dead lits", /Did you mean "dead list"\?/);
  refuses(
    "frobnicate",
    /no verb "frobnicate"\. There are: serve, migrate, key, source, user, notify, listen, dead, .*help\.$/,
  );
});

test("what other programs call it leads to the verb", () => {
  refuses("start", /no verb "start"\. Did you mean "serve"\?/);
  refuses("status", /Did you mean "consumer list"\?/);
  refuses(
    "list",
    /Did you mean "key list" or "source list" or "user list" or "dead list" or "consumer list"\?/,
  );
  refuses("stop", /There are: serve/);
  refuses("constructor", /There are: serve/);
});

test("a noun without its verb says what may follow", () => {
  refuses("key", /"key" needs one of: create, list, revoke/);
  refuses("--port 1", /verb comes first.*serve --port 1/);
  assert.deepEqual(findVerb(verbs, ["dead", "--help"]), { kind: "noun", noun: "dead" });
});

test("an unknown option names the nearest one", () => {
  refuses("serve --prot 1", /"serve" has no option --prot\. Did you mean "--port"\?/);
  refuses("dead list --jsn", /Did you mean "--json"\?/);
  refuses("serve --database", /Did you mean "--database-url"\?/);
  refuses("serve -p 80", /"serve" has no option -p\. Did you mean "--port"\?/);
  refuses("serve -r 80", /"serve" has no option -r\.$/);
  refuses("serve --bogus", /"serve" has no option --bogus\.$/);
  refuses("serve --no-color", /set NO_COLOR=1/);
  refuses("dead list -x", /no option -x/);
  refuses("version --port 1", /"version" has no option --port/);
  refuses("serve --constructor", /no option --constructor/);
});

test("missing and surplus arguments are named", () => {
  refuses("key revoke", /"key revoke" needs ID/);
  refuses("key revoke 1 2", /what to do with "2"/);
  refuses("key create shop", /"key create" needs --scopes SCOPES/);
});

test("options need exactly the values that they take", () => {
  refuses("serve --port", /--port needs a value/);
  refuses("serve --port --host", /--port needs a value.*--port=--host/);
  refuses("dead list --json=yes", /--json takes no value/);
  refuses("serve --port 1 --port 2", /--port is given twice/);
  assert.equal(parse("dead list --cursor=-5").args.text("cursor"), "-5");
  assert.equal(parse("key create --scopes admin -- -odd").args.argument("NAME"), "-odd");
});

test("a setting that cannot be read is a wrong command line, under the flag's name", () => {
  refuses("serve --port high", /^--port must be a whole number from 0 to 65535, and "high" is not$/);
  refuses("key list --database-url nowhere", /^--database-url must look like postgres:/);
  assert.deepEqual(parse("serve --port=").environment, { PORT: "" });
});

test("settings may be given as flags, under the names of the environment", () => {
  const { environment } = parse("serve --port 6000 --request-timeout-ms=500 --eventlog-notify off");
  assert.deepEqual(environment, { PORT: "6000", REQUEST_TIMEOUT_MS: "500", EVENTLOG_NOTIFY: "off" });
  assert.deepEqual(parse("key list --data-dir /tmp/x --json").environment, { DATA_DIR: "/tmp/x" });
});

test("help is understood everywhere, also where something is missing", () => {
  for (const { name } of verbs) {
    assert.ok(parse(`${name} --help`).help, name);
    assert.ok(parse(`${name} -h`).help, name);
  }
});

test("a new verb needs nothing but its object", () => {
  const backup: Verb = {
    name: "backup create",
    summary: "write a backup",
    usage: "FILE [LABEL]",
    example: "backup create a.tar",
    options: { gzip: { type: "flag", doc: "compress it" } },
    settings: false,
    run: async () => {},
  };
  const table = [...verbs, backup];
  const found = findVerb(table, ["backup", "create", "a.tar", "--gzip"]);
  assert.ok(found.kind === "verb");
  const { args } = parseVerbArgs(found.verb, found.rest, []);
  assert.deepEqual(
    [args.argument("FILE"), args.optionalArgument("LABEL"), args.flag("gzip")],
    ["a.tar", undefined, true],
  );
  assert.throws(() => findVerb(table, ["backup", "crate"]), /Did you mean "backup create"/);
});
