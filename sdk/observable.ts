/** A value and who wants to know when it changes. Fits React's `useSyncExternalStore(x.subscribe, x.get)`. */
export type Observable<T> = {
  readonly get: () => T;
  /** Calls the listener after each change. Returns the function that ends it. */
  readonly subscribe: (listener: (value: T) => void) => () => void;
};

export type Source<T> = Observable<T> & { readonly set: (value: T) => void };

/** What becomes of an error that a listener or handler of the application throws. */
export type OnError = (error: unknown) => void;

/** As with any event listener: it fails nobody else, and shows as an uncaught error. */
export const throwLater: OnError = (error) => {
  queueMicrotask(() => {
    throw error;
  });
};

/** Calls what belongs to the application: whatever it throws must not disturb the client. */
export function callSafely(onError: OnError, call: () => void): void {
  try {
    call();
  } catch (error) {
    onError(error);
  }
}

/** Listeners hear of a value only when it is another one. */
export function createSource<T>(initial: T, onError: OnError = throwLater): Source<T> {
  let value = initial;
  const listeners = new Set<(value: T) => void>();
  return {
    get: () => value,
    set: (next) => {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of Array.from(listeners)) {
        // One that was ended by a listener before it is not called any more.
        if (listeners.has(listener)) callSafely(onError, () => listener(value));
      }
    },
    subscribe: (listener) => {
      // Of its own, so that the same function may listen twice and be ended once.
      const own = (next: T): void => listener(next);
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
  };
}
