import {
  AccountChangedData,
  SessionEndedData,
  accountChanged,
  sessionEnded,
} from "../../../protocol/accounts.ts";
import type { TopicKind } from "../../deps.ts";
import { requireThemselves } from "../../access/actor.ts";

/** `user/ID`: what concerns one person alone. */
export const userTopics: TopicKind = {
  kind: "user",
  authorize: requireThemselves,
  entries: { [sessionEnded]: SessionEndedData, [accountChanged]: AccountChangedData },
};
