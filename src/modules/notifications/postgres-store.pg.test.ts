import { testHeldProperty } from "./wishes/held-property.contract.ts";
import { testHeldNotifications } from "./wishes/held.contract.ts";
import { openStage } from "./notifications.fixture.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { testNotificationStore } from "./store.contract.ts";

testNotificationStore("postgres", () => openStage(createPostgresStore));
testHeldNotifications("postgres", () => openStage(createPostgresStore));
testHeldProperty("postgres", () => openStage(createPostgresStore));
