/**
 * Topics: the ordering and fan-out key of an entry. All entries of one topic lie in one partition and reach
 * every reader in the order in which they were appended.
 */
export const topics = {
  /** Everything that one person in an outside messenger writes to one source. */
  contact: (sourceId: number, externalClientId: string): string => `contact/${sourceId}/${externalClientId}`,
  dialog: (dialogId: number): string => `dialog/${dialogId}`,
  room: (roomId: number): string => `room/${roomId}`,
  live: (ownerId: number): string => `live/${ownerId}`,
  user: (userId: number): string => `user/${userId}`,
  /** What everybody who is signed in is told. */
  everybody: (): string => "broadcast/all",
  /** Signals only: whether somebody is there. */
  presence: (userId: number): string => `presence/${userId}`,
} as const;
