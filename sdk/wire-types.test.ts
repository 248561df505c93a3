import { test } from "node:test";
import type { Type } from "typebox";
import type * as accounts from "../protocol/accounts.ts";
import type * as broadcasts from "../protocol/broadcasts.ts";
import type * as chat from "../protocol/chat.ts";
import type * as frames from "../protocol/frames.ts";
import type * as notifications from "../protocol/notifications.ts";

/**
 * Published types name no package: those of the wire are written by hand beside their schemas. Here the compiler
 * compares the two. What a schema says of the values of a map (unions that are made of lists) it cannot infer, and
 * these are left out.
 */
type Same<A, B> =
  (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false;
/** Properties in sight, so that intersections of the same properties are the same. */
type Plain<T> = T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Of<S extends Type.TSchema> = Type.Static<S>;

type Checked = {
  login: Same<Of<typeof accounts.Login>, accounts.Login>;
  newPassword: Same<Of<typeof accounts.NewPassword>, accounts.NewPassword>;
  accountChange: Same<Of<typeof accounts.AccountChange>, accounts.AccountChange>;
  registration: Same<Of<typeof accounts.Registration>, accounts.Registration>;
  newUser: Same<Of<typeof accounts.NewUser>, accounts.NewUser>;
  userQuery: Same<Of<typeof accounts.UserQuery>, accounts.UserQuery>;
  refreshBody: Same<Of<typeof accounts.RefreshBody>, accounts.RefreshBody>;
  sessionEnded: Same<Of<typeof accounts.SessionEndedData>, accounts.SessionEndedData>;
  renameRoom: Same<Of<typeof chat.RenameRoom>, chat.RenameRoom>;
  directRoom: Same<Of<typeof chat.DirectRoom>, chat.DirectRoom>;
  newMessage: Same<Of<typeof chat.NewMessage>, chat.NewMessage>;
  editMessage: Same<Of<typeof chat.EditMessage>, chat.EditMessage>;
  message: Same<Of<typeof chat.Message>, chat.Message>;
  messagesQuery: Same<Of<typeof chat.MessagesQuery>, chat.MessagesQuery>;
  messagesPage: Same<Of<typeof chat.MessagesPage>, chat.MessagesPage>;
  readMark: Same<Of<typeof chat.ReadMark>, chat.ReadMark>;
  readState: Same<Of<typeof chat.ReadState>, chat.ReadState>;
  addMembers: Same<Of<typeof chat.AddMembers>, chat.AddMembers>;
  chatPageQuery: Same<Of<typeof chat.ChatPageQuery>, chat.ChatPageQuery>;
  notify: Same<Of<typeof notifications.Notify>, notifications.Notify>;
  newBroadcast: Same<Of<typeof broadcasts.NewBroadcast>, broadcasts.NewBroadcast>;
  broadcastAccepted: Same<Of<typeof broadcasts.BroadcastAccepted>, broadcasts.BroadcastAccepted>;
  broadcastExpired: Same<Of<typeof broadcasts.BroadcastExpiredData>, broadcasts.BroadcastExpiredData>;
  notificationUnread: Same<Of<typeof notifications.Unread>, notifications.Unread>;
  auth: Same<Of<typeof frames.AuthFrame>, frames.AuthFrame>;
  subscribe: Same<Of<typeof frames.SubscribeFrame>, frames.SubscribeFrame>;
  resume: Same<Of<typeof frames.ResumeFrame>, frames.ResumeFrame>;
  unsubscribe: Same<Of<typeof frames.UnsubscribeFrame>, frames.UnsubscribeFrame>;
  ping: Same<Of<typeof frames.PingFrame>, frames.PingFrame>;
  limits: Same<Of<typeof frames.SocketLimits>, frames.SocketLimits>;
  hello: Same<Of<typeof frames.HelloFrame>, frames.HelloFrame>;
  renewed: Same<Of<typeof frames.RenewedFrame>, frames.RenewedFrame>;
  unsubscribed: Same<Of<typeof frames.UnsubscribedFrame>, frames.UnsubscribedFrame>;
  pong: Same<Of<typeof frames.PongFrame>, frames.PongFrame>;
  entry: Same<Of<typeof frames.EntryFrame>, frames.EntryFrame>;
  signal: Same<Of<typeof frames.SignalFrame>, frames.SignalFrame>;
  limited: Same<Of<typeof frames.LimitedFrame>, frames.LimitedFrame>;
  removed: Same<Of<typeof frames.RemovedFrame>, frames.RemovedFrame>;
  positions: Same<Of<typeof frames.PositionsFrame>, frames.PositionsFrame>;
  expiring: Same<Of<typeof frames.ExpiringFrame>, frames.ExpiringFrame>;
  draining: Same<Of<typeof frames.DrainingFrame>, frames.DrainingFrame>;
};

/** Does not compile unless all of them are true. */
function all<_Checks extends Record<string, true>>(): void {}

test("the types of the wire that are written by hand are those of the schemas", () => {
  all<Checked>();
  // @ts-expect-error a property that may be missing is not one that is there
  all<{ a: Same<{ a: 1 }, { a?: 1 }> }>();
});
