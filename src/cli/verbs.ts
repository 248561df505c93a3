import { config } from "./config.ts";
import { consumerList, consumerReplay } from "./consumer.ts";
import { deadDrop, deadList, deadRetry, deadShow } from "./dead.ts";
import { helpVerb } from "./help.ts";
import { keyCreate, keyList, keyRevoke } from "./key.ts";
import { ledgerLift, ledgerReconcile } from "./ledger.ts";
import { listen } from "./listen.ts";
import { migrate } from "./migrate.ts";
import { notify } from "./notify.ts";
import { serve } from "./serve.ts";
import { sourceCreate, sourceList, sourceRemove, sourceRotate } from "./source.ts";
import { userCreate, userDisable, userEnable, userList, userPassword, userRole } from "./user.ts";
import type { Verb } from "./verb.ts";
import { version } from "./version.ts";

/** Every verb, in the order in which help shows them. */
export const verbs: readonly Verb[] = [
  serve,
  migrate,
  keyCreate,
  keyList,
  keyRevoke,
  sourceCreate,
  sourceList,
  sourceRotate,
  sourceRemove,
  userCreate,
  userList,
  userRole,
  userPassword,
  userDisable,
  userEnable,
  notify,
  listen,
  deadList,
  deadShow,
  deadRetry,
  deadDrop,
  consumerList,
  consumerReplay,
  ledgerReconcile,
  ledgerLift,
  config,
  version,
  helpVerb(() => verbs),
];
