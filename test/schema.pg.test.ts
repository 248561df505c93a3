import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import type { Db } from "../src/lib/db.ts";
import { openTestDatabase } from "./harness.ts";

/** Every table, sequence and index that the migrations make, in a text that a person can read and a diff can compare. */
async function describeSchema(db: Db): Promise<string> {
  const { rows: tables } = await db.query<{
    name: string;
    kind: string;
    partition_of: string | null;
    bounds: string | null;
  }>(
    `select c.relname as name, c.relkind as kind, i.inhparent::regclass::text as partition_of,
            pg_get_expr(c.relpartbound, c.oid) as bounds
       from pg_class c left join pg_inherits i on i.inhrelid = c.oid
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'S') order by c.relname`,
  );
  const parts: string[] = [];
  for (const { name, kind, partition_of: parent, bounds } of tables) {
    if (kind === "S") parts.push(`sequence ${name};`);
    else if (parent !== null) parts.push(`table ${name} partition of ${parent} ${bounds ?? ""};`);
    else parts.push(await describeTable(db, name));
  }
  return `-- The schema after all migrations. Written by npm run db:schema, checked by test/schema.pg.test.ts.\n\n${parts.join("\n\n")}\n`;
}

async function describeTable(db: Db, table: string): Promise<string> {
  const { rows: columns } = await db.query<{ line: string }>(
    `select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
            || case when a.attidentity = 'a' then ' generated always as identity' else '' end
            || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as line
       from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [table],
  );
  const { rows: constraints } = await db.query<{ line: string }>(
    `select 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) as line from pg_constraint
      where conrelid = $1::regclass and contype <> 'n' order by conname`,
    [table],
  );
  const { rows: indexes } = await db.query<{ line: string }>(
    `select pg_get_indexdef(x.indexrelid) || ';' as line from pg_index x
      where x.indrelid = $1::regclass and not exists (select from pg_constraint c where c.conindid = x.indexrelid)
      order by x.indexrelid::regclass::text`,
    [table],
  );
  const { rows: extras } = await db.query<{ line: string }>(
    `select concat_ws(' ', 'partition by ' || pg_get_partkeydef(oid), 'with (' || array_to_string(reloptions, ', ') || ')') as line
       from pg_class where oid = $1::regclass`,
    [table],
  );
  const body = [...columns, ...constraints].map(({ line }) => `  ${line}`).join(",\n");
  return [
    `table ${table} (\n${body}\n) ${extras[0]?.line ?? ""}`.trimEnd() + ";",
    ...indexes.map(({ line }) => line),
  ].join("\n");
}

test("schema.sql is what the migrations make", async () => {
  const db = await openTestDatabase();
  const now = await describeSchema(db);
  const file = new URL("../schema.sql", import.meta.url);
  if (process.env["WRITE_SCHEMA"] === "1") await writeFile(file, now);
  assert.equal(await readFile(file, "utf8"), now, "run npm run db:schema");
});
