import { Type } from "typebox";

/** Signal `presence` of the topic `presence/ID`: whether the person has a connection, anywhere. */
export const PresenceData = Type.Object(
  { user_id: Type.Integer({ minimum: 1 }), online: Type.Boolean() },
  { additionalProperties: false },
);
export type PresenceData = { user_id: number; online: boolean };
