/**
 * Bounds that both sides of the wire agree on. The unit is the end of each name; where there is none it is a
 * count. Every bound has a test at the bound + 1.
 */
export const limits = {
  /** Largest HTTP request body, in bytes. */
  requestBodyBytes: 1_048_576,
  /** Largest data of one log entry, in bytes of JSON text. */
  entryDataBytes: 262_144,
  /** Longest topic, in UTF-16 units. */
  topicLength: 200,
  /** Longest entry type, in UTF-16 units. */
  entryTypeLength: 100,
  /** Entries that one append call may carry. */
  appendEntries: 10_000,
  /** Text of a message from an outside messenger, in Unicode code points after trim. */
  messageTextLength: 4_096,
  /** Rows of one page. */
  pageRows: 200,
  pageRowsDefault: 50,
  /** Longest name of a source, an API key or a consumer group, in UTF-16 units. */
  nameLength: 64,
  /** Longest time that a source's previous secret or key is good after a rotation, and how long it is unless told. */
  rotationGraceS: 86_400,
} as const;
