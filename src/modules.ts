import type { Deps, Module } from "./deps.ts";
import { createAccounts } from "./modules/accounts/module.ts";
import type { People } from "./modules/accounts/people.ts";
import { createChat } from "./modules/chat/module.ts";
import { createInbox } from "./modules/inbox/module.ts";
import type { Sources } from "./modules/inbox/sources.ts";
import type { Broadcasts } from "./modules/notifications/broadcasts/broadcasts.ts";
import type { NotifyPeople } from "./modules/notifications/notify.ts";
import { createNotifications } from "./modules/notifications/module.ts";
import { createOperations } from "./modules/operations/module.ts";
import type { LedgerCare } from "./modules/wallet/ledger-care.ts";
import { createWallet } from "./modules/wallet/module.ts";

export type Modules = {
  readonly all: readonly Module[];
  /** Beside its routes, the command line and the first start manage sources. */
  readonly sources: Sources;
  /** The command line manages people, too. */
  readonly people: People;
  /** It tells people things, too. */
  readonly notify: NotifyPeople;
  readonly broadcasts: Broadcasts;
  /** It looks after the ledger. */
  readonly ledger: LedgerCare;
};

/** Every capability of this server. With `app.ts` the only file that names them. */
export function createModules(deps: Deps): Modules {
  const accounts = createAccounts(deps);
  const inbox = createInbox(deps);
  const notifications = createNotifications(deps);
  const wallet = createWallet(deps);
  return {
    all: [accounts, createChat(deps), inbox, notifications, wallet, createOperations(deps)],
    sources: inbox.sources,
    people: accounts.people,
    notify: notifications.notify,
    broadcasts: notifications.broadcasts,
    ledger: wallet.ledger,
  };
}
