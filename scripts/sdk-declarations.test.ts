import assert from "node:assert/strict";
import { test } from "node:test";
import { examplesOf, hasSchemas, withPublishedImports, withoutSchemas } from "./sdk-declarations.ts";

const declarations = `import { Type } from "typebox";
import type { ErrorCode } from "./errors.ts";
/** Roles. */
export declare const roles: readonly ["a", "b"];
export type Role = (typeof roles)[number];
declare const strict: {
    readonly additionalProperties: false;
};
/** A thing. */
export declare const Thing: Type.TObject<{
    id: Type.TInteger;
    /** Its name. */
    name: Type.TString;
}>;
export type Thing = {
    id: number;
    /** Its name. */
    name: string;
    code: ErrorCode;
};
export declare const entries: {
    readonly "thing.made": Type.TObject<{}>;
};
export type Left = Type.Static<typeof Thing>;
/** The last. */
export type Last = { a: 1 };
`;

test("types stay with their comments, and schemas go with theirs", () => {
  assert.ok(hasSchemas(declarations));
  const text = withoutSchemas(declarations);
  assert.ok(!hasSchemas(text));
  assert.equal(
    text,
    `import type { ErrorCode } from "./errors.ts";
/** Roles. */
declare const roles: readonly ["a", "b"];
export type Role = (typeof roles)[number];
declare const strict: {
    readonly additionalProperties: false;
};
/** A thing. */
export type Thing = {
    id: number;
    /** Its name. */
    name: string;
    code: ErrorCode;
};
/** The last. */
export type Last = { a: 1 };
export {};
`,
  );
});

test("imports of files lead to what is published, others stay", () => {
  assert.equal(
    withPublishedImports(
      `import type { A } from "../protocol/a.ts";\nexport type B = import("./b.ts").B;\nimport "pg";`,
    ),
    `import type { A } from "../protocol/a.js";\nexport type B = import("./b.js").B;\nimport "pg";`,
  );
});

test("examples are the blocks that are marked as TypeScript", () => {
  assert.deepEqual(examplesOf("a\n```ts\none;\n```\n```sh\nno\n```\n```tsx\nno\n```\n```ts\ntwo;\n```\n"), [
    "one;\n",
    "two;\n",
  ]);
});
