/**
 * A library that is built on the client: of everything that the client's signatures speak of, something is exported whose
 * type is inferred. Not a file of code, since the package that it imports is not here.
 */
export const library = `
import { createClient } from "tidings-client";
import { type ChatStore, openChat } from "tidings-client/chat-store";
import { type NotificationStore, openNotifications } from "tidings-client/notification-store";

export const client = createClient({ url: "https://chat.example.org" });
export const { accounts, chat, notifications, http, connection, account, surroundings, subscribe, request } = client;
export const chatOf = () => openChat(client);
export const outboxOf = (store: ChatStore) => store.outbox;
export const waitingOf = (store: ChatStore) => store.outbox.get();
export const stateOf = (store: ChatStore) => store.get();
export const { clock, storage, random, onError } = client.surroundings;
export const callOf = (...args: Parameters<typeof client.http.call>) => args[0];
export const handlersOf = (...args: Parameters<typeof client.subscribe>) => args[1];
export const optionsOf = (...args: Parameters<typeof createClient>) => args[0];
export const { fetch: fetchOf, webSocket, network } = optionsOf({ url: "" });
export const roomsOf = () => client.chat.rooms();
export const notificationsOf = () => openNotifications(client);
export const unreadOf = (store: NotificationStore) => store.unread;
export const notificationStateOf = (store: NotificationStore) => store.get();
export const pageOf = () => client.notifications.list();
export const notifyOf = (...args: Parameters<typeof client.notifications.notify>) => args;
export const meOf = () => client.accounts.me();
`;
