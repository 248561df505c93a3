import { openStage } from "./notifications.fixture.ts";
import { createPostgresStore } from "./postgres-store.ts";
import { testNotificationStore } from "./store.contract.ts";

testNotificationStore("postgres", () => openStage(createPostgresStore));
