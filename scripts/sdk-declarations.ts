/** Rewrites of the declarations that the compiler makes of the client, for people who have nothing but the package. */

/** The compiler leaves `.ts` in the imports of declarations, where it means files that are not published. */
export function withPublishedImports(declarations: string): string {
  return declarations.replaceAll(/((?:from|import\()\s*"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"');
}

/** Whether the declarations need the package of the schemas. */
export function hasSchemas(declarations: string): boolean {
  return /^import .* from "typebox";$/m.test(declarations);
}

/**
 * Leaves the types of a file of the protocol that also has schemas: these are the server's, and would bring a package
 * along. What is said of a schema is said of the type of its name. Constants stay for the types that are made of them,
 * but are exported no more: there is no code.
 */
export function withoutSchemas(declarations: string): string {
  const comments = new Map<string, string>();
  const kept: string[] = [];
  for (const { comment, statement } of statementsOf(declarations)) {
    const [, kind, name = ""] = /^export (?:declare )?(const|type) (\w+)/.exec(statement) ?? [];
    if (/\bType\.|"typebox"/.test(statement)) comments.set(name, comment);
    else kept.push((comment === "" && kind === "type" ? (comments.get(name) ?? "") : comment) + statement);
  }
  return `${kept.join("").replaceAll(/^export declare const /gm, "declare const ")}export {};\n`;
}

/** Statements with the comments before them. */
function statementsOf(
  declarations: string,
): readonly { readonly comment: string; readonly statement: string }[] {
  let comment = "";
  return declarations.split(/^(?=\/\*\*|export |import |declare )/m).flatMap((part) => {
    if (part.startsWith("/**")) {
      comment += part;
      return [];
    }
    const found = { comment, statement: part };
    comment = "";
    return [found];
  });
}

/** TypeScript in a document: every block that is marked `ts`. */
export function examplesOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code = ""]) => code);
}
