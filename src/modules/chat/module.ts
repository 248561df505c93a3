import type { Deps, Module } from "../../deps.ts";
import { createAdding } from "./adding.ts";
import { createErasing } from "./erase.ts";
import { chatMethods } from "./methods.ts";
import { createPlain } from "./plain.ts";
import { memberRoutes } from "./routes-members.ts";
import { messageRoutes } from "./routes-messages.ts";
import { seedRoutes } from "./routes-seed.ts";
import { roomRoutes } from "./routes.ts";
import { createSend } from "./send.ts";
import { createSetTyping } from "./set-typing.ts";
import { chatTopics } from "./topics.ts";

/** Rooms, and what people write in them. */
export function createChat(deps: Deps): Module {
  const send = createSend(deps);
  const erasing = createErasing(deps);
  const adding = createAdding(deps.clock);
  return {
    name: "chat",
    routes: [
      ...roomRoutes({ ...deps, adding }),
      ...memberRoutes({ ...deps, adding }),
      ...messageRoutes({ ...deps, send, erasing }),
      ...seedRoutes({ ...deps, send }),
    ],
    consumers: [],
    timers: [{ name: "chat erasures", everyMs: 60_000, run: (signal) => erasing.eraseLeftOvers(signal) }],
    methods: chatMethods(deps, { send, setTyping: createSetTyping(deps) }),
    topics: chatTopics(deps),
    plain: createPlain(send),
  };
}
