import type { Deps, Module } from "./deps.ts";
import { createInbox } from "./modules/inbox/module.ts";
import type { Sources } from "./modules/inbox/sources.ts";
import { createOperations } from "./modules/operations/module.ts";

export type Modules = {
  readonly all: readonly Module[];
  /** Beside its routes, the command line and the first start manage sources. */
  readonly sources: Sources;
};

/** Every capability of this server. With `app.ts` the only file that names them. */
export function createModules(deps: Deps): Modules {
  const inbox = createInbox(deps);
  return { all: [inbox, createOperations(deps)], sources: inbox.sources };
}
