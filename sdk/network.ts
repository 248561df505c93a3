/** Tells when the network has come or gone. `listener(true)` also after a pause: whatever was, look again now. */
export type Network = { subscribe(listener: (online: boolean) => void): () => void };

type EventTargetLike = {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
};

/**
 * What a browser knows: `online`, `offline`, and a page that is looked at again, whose timers may have slept. Programs
 * in Node have none of it, and rely on the heartbeat.
 */
export const surroundings: Network = {
  subscribe: (listener) => {
    const page = globalThis as EventTargetLike & {
      readonly document?: EventTargetLike & { readonly visibilityState?: string };
    };
    const { document } = page;
    const online = (): void => listener(true);
    const offline = (): void => listener(false);
    const visible = (): void => {
      if (document?.visibilityState === "visible") listener(true);
    };
    page.addEventListener?.("online", online);
    page.addEventListener?.("offline", offline);
    document?.addEventListener?.("visibilitychange", visible);
    return () => {
      page.removeEventListener?.("online", online);
      page.removeEventListener?.("offline", offline);
      document?.removeEventListener?.("visibilitychange", visible);
    };
  },
};
