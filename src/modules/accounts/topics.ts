import {
  AccountChangedData,
  SessionEndedData,
  accountChanged,
  sessionEnded,
} from "../../../protocol/accounts.ts";
import type { TopicKind } from "../../deps.ts";
import { hasScope } from "../../access/actor.ts";
import { AppError } from "../../lib/errors.ts";

/** `user/ID`: what concerns one person alone. */
export const userTopics: TopicKind = {
  kind: "user",
  authorize: async (actor, id) => {
    const allowed = actor.kind === "user" ? String(actor.id) === id : hasScope(actor, "admin");
    if (!allowed) throw new AppError("forbidden", { detail: "what concerns one person is for them alone" });
    if (!/^[1-9]\d{0,15}$/.test(id)) throw new AppError("not_found", { detail: "there is no such person" });
  },
  entries: { [sessionEnded]: SessionEndedData, [accountChanged]: AccountChangedData },
};
