import { randomBytes } from "node:crypto";
import {
  type UserRole,
  displayNameRule,
  emailLengthMax,
  emailPattern,
  usernamePattern,
  usernameRule,
  userRoles,
} from "../../protocol/accounts.ts";
import { limits } from "../../protocol/limits.ts";
import { namePattern } from "../../protocol/names.ts";
import type { User } from "../access/users.ts";
import { readSecretFile } from "./secret-file.ts";
import { moment } from "./table.ts";
import {
  UsageError,
  type Verb,
  type VerbArgs,
  type VerbOption,
  countOf,
  idOf,
  jsonOption,
  program,
  wordOf,
} from "./verb.ts";
import { userView } from "./user-view.ts";

/** Who does it, in the entries of the log: whoever may run the command line is the server itself. */
const by = "system";
const pageDefault = 200;
const pageMax = 10_000;

const passwordFile: VerbOption = {
  type: "text",
  value: "FILE",
  doc: "take the password from a file, - for standard input; without it one is made and printed once",
};

export const userCreate: Verb = {
  name: "user create",
  summary: "create a person who can sign in",
  usage: "USERNAME",
  example: "user create alice --email alice@example.com --role admin",
  options: {
    email: { type: "text", value: "ADDRESS", required: true, doc: "their e-mail address" },
    name: { type: "text", value: "NAME", doc: "how others see them; the username unless given" },
    role: { type: "text", value: "ROLE", doc: `one of ${userRoles.join(", ")}; user unless given` },
    "password-file": passwordFile,
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const person = {
      username: usernameOf(args),
      email: emailOf(args.text("email") ?? ""),
      name: nameOf(args.text("name")),
      role: wordOf(args.text("role") ?? "user", "--role", userRoles),
    };
    const { password, made } = await passwordOf(args);
    await using backstage = await openBackstage();
    const user = await backstage.people.create({ ...person, password });
    const who = `Person ${user.id} "${user.username}" (${user.role})`;
    if (!made) return terminal.print(`${who} is there.`);
    terminal.notice(`${who}; their password, shown this once:`);
    terminal.print(password);
  },
};

export const userList: Verb = {
  name: "user list",
  summary: "list people by id",
  usage: "",
  example: "user list --limit 20",
  options: {
    limit: { type: "text", value: "N", doc: `how many, 1 to ${pageMax}; ${pageDefault} unless given` },
    after: { type: "text", value: "ID", doc: "those that come after this one" },
    json: jsonOption,
  },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const limit = countOf(args.text("limit") ?? String(pageDefault), "limit", pageMax);
    const afterText = args.text("after");
    const after = afterText === undefined ? 0 : idOf(afterText, "user list");
    await using backstage = await openBackstage();
    const rows = await backstage.people.page({ after, limit: limit + 1 });
    const people = rows.slice(0, limit);
    if (args.flag("json")) return terminal.json(people.map(userView));
    if (people.length === 0 && after === 0) {
      return terminal.notice(`There is nobody yet: ${program} ${userCreate.example}`);
    }
    terminal.table(
      ["id", "username", "email", "name", "role", "state", "created"],
      people.map((user) => [
        user.id,
        user.username,
        user.email ?? "-",
        user.name,
        user.role,
        stateOf(user),
        moment(user.createdAt),
      ]),
    );
    const last = people.at(-1);
    if (rows.length > limit && last !== undefined) {
      terminal.notice(`There are more: ${program} user list --limit ${limit} --after ${last.id}`);
    }
  },
};

export const userDisable: Verb = {
  name: "user disable",
  summary: "let nobody in as this person any more, and end what they are signed in with",
  usage: "USERNAME",
  example: "user disable alice",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const user = await backstage.people.byUsername(args.argument("USERNAME"));
    await backstage.people.disable(user.id, by);
    terminal.print(`"${user.username}" is disabled; within a second no sign-in of theirs is good any more.`);
  },
};

export const userEnable: Verb = {
  name: "user enable",
  summary: "let a disabled person in again",
  usage: "USERNAME",
  example: "user enable alice",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    await using backstage = await openBackstage();
    const user = await backstage.people.byUsername(args.argument("USERNAME"));
    await backstage.people.enable(user.id);
    terminal.print(`"${user.username}" is enabled.`);
  },
};

export const userRole: Verb = {
  name: "user role",
  summary: "give a person another role; everywhere they are signed out",
  usage: "USERNAME ROLE",
  example: "user role alice moderator",
  options: {},
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const role: UserRole = wordOf(args.argument("ROLE"), "ROLE", userRoles);
    await using backstage = await openBackstage();
    const user = await backstage.people.byUsername(args.argument("USERNAME"));
    await backstage.people.setRole(user.id, role, by);
    terminal.print(`"${user.username}" is ${role} now.`);
  },
};

export const userPassword: Verb = {
  name: "user password",
  summary: "give a person another password; everywhere they are signed out",
  usage: "USERNAME",
  example: "user password alice",
  options: { "password-file": passwordFile },
  settings: true,
  run: async ({ openBackstage, terminal }, args) => {
    const { password, made } = await passwordOf(args);
    await using backstage = await openBackstage();
    const user = await backstage.people.byUsername(args.argument("USERNAME"));
    await backstage.people.setPassword(user.id, password, by);
    if (!made) return terminal.print(`"${user.username}" has another password.`);
    terminal.notice(`The new password of "${user.username}", shown this once:`);
    terminal.print(password);
  },
};

function usernameOf(args: VerbArgs): string {
  const username = args.argument("USERNAME");
  if (new RegExp(usernamePattern).test(username)) return username;
  throw new UsageError(`A username must be ${usernameRule}, and "${username}" is not`);
}

function emailOf(text: string): string {
  const fits = text.length >= 3 && text.length <= emailLengthMax && new RegExp(emailPattern, "u").test(text);
  if (!fits) throw new UsageError(`--email must be an e-mail address, and "${text}" is not`);
  return text;
}

function nameOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const { length } = Array.from(text.trim());
  if (length <= limits.displayNameLength && new RegExp(namePattern, "u").test(text)) return text;
  throw new UsageError(`--name must have ${displayNameRule}`);
}

/** 144 random bits: nobody will guess or remember it. */
const madeBytes = 18;

async function passwordOf(args: VerbArgs): Promise<{ readonly password: string; readonly made: boolean }> {
  const file = args.text("password-file");
  if (file === undefined) return { password: randomBytes(madeBytes).toString("base64url"), made: true };
  const password = await readSecretFile(file, "password-file");
  const { passwordLengthMin: min, passwordLength: max } = limits;
  if (password.length >= min && password.length <= max) return { password, made: false };
  throw new UsageError(
    `A password must have ${min} to ${max} characters, and that in --password-file has not`,
  );
}

function stateOf({ disabledAt }: User): string {
  return disabledAt === undefined ? "active" : "disabled";
}
