import type { NewPushSubscription, PushKey, PushSubscribed, PushSubscriptionList } from "../protocol/push.ts";
import type { Http } from "./http.ts";

/** What a browser's `pushManager.subscribe` resolves with, as far as it is used here; or what `JSON.stringify` makes of it. */
export type BrowserSubscription =
  | NewPushSubscription
  | {
      toJSON(): {
        readonly endpoint?: string;
        readonly keys?: Readonly<Record<string, string | undefined>>;
      };
    };

/** Web push: notifications for people whose page is closed, shown by a service worker. */
export type PushCalls = {
  /** The server's key, base64url: the `applicationServerKey` that a browser subscribes with. */
  key(): Promise<string>;
  /**
   * Tells the server of a browser's subscription, which lasts no longer than the sign-in. Repeating it is harmless, and is
   * to be done whenever the page is opened: the browser may have got another one.
   */
  subscribe(subscription: BrowserSubscription): Promise<PushSubscribed>;
  /** The browsers that the caller has subscribed. */
  list(): Promise<PushSubscriptionList>;
  /** Ends a subscription by the id that `subscribe` resolved with. One that is gone already is no fault. */
  unsubscribe(id: number): Promise<void>;
};

/** The calls, as whoever the credentials belong to. */
export function pushCalls(http: Http): PushCalls {
  const path = "/api/v1/push/subscriptions";
  return {
    key: async () => {
      const answer = await http.call<PushKey>({ method: "GET", path: "/api/v1/push/key", repeatable: true });
      return answer.public_key;
    },
    subscribe: (subscription) =>
      http.call({ method: "POST", path, body: bodyOf(subscription), repeatable: true }),
    list: () => http.call({ method: "GET", path, repeatable: true }),
    unsubscribe: (id) => http.call({ method: "DELETE", path: `${path}/${id}`, repeatable: true }),
  };
}

/** Browsers may come to say more than the server knows; it judges what they say. */
function bodyOf(subscription: BrowserSubscription): NewPushSubscription {
  const { endpoint = "", keys = {} } = "toJSON" in subscription ? subscription.toJSON() : subscription;
  const { p256dh = "", auth = "" } = keys;
  return { endpoint, keys: { p256dh, auth } };
}
