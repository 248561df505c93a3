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
  /** Text of a message, whoever wrote it, in Unicode code points after trim. */
  messageTextLength: 4_096,
  /** Rows of one page. */
  pageRows: 200,
  pageRowsDefault: 50,
  /** Longest name of a source, an API key or a consumer group, in UTF-16 units. */
  nameLength: 64,
  /** Longest time that a source's previous secret or key is good after a rotation, and how long it is unless told. */
  rotationGraceS: 86_400,
  /** Name of a person, in Unicode code points after trim. */
  displayNameLength: 64,
  /** Shortest and longest password, in UTF-16 units. */
  passwordLengthMin: 8,
  passwordLength: 256,
  /** Name of a room, in Unicode code points after trim. */
  roomNameLength: 80,
  /** People of one room. */
  roomMembers: 100_000,
  /** People that one request may add to a room. */
  membersPerRequest: 100,
  /**
   * Rooms that one person may be in: those that they made or joined themselves, and those into which others have put
   * them. Direct rooms do not count.
   */
  roomsPerUser: 1_000,
  roomsByOthers: 1_000,
  /** Edits of one message. */
  messageEdits: 100,
  /** Largest frame that a client may send, in bytes. */
  frameBytes: 65_536,
  /**
   * Topics that one connection may be subscribed to, so that all rooms of a person that count fit, their own topic and some
   * hundred others; and topics that one frame may name.
   */
  topicsPerConnection: 2_500,
  topicsPerFrame: 500,
  /** Topics of one event stream: every event's id names a position for each. */
  topicsPerStream: 20,
  /** People whom one request may notify. */
  notifyTargets: 10_000,
  /** Texts, sources and links of all notifications that one request makes, in bytes of UTF-8. */
  notifyBytes: 16_777_216,
  /** Longest time until a notification ends, and how long it is unless told, in seconds. */
  notificationTtlS: 7_776_000,
  notificationTtlDefaultS: 900,
  /** The same for what tells of an entry that somebody else made, such as a mention: unless the server's options say otherwise. */
  occasionTtlDefaultS: 604_800,
  /** Names that are looked for in one message, of somebody or of nobody, and people whom it tells of that; further ones are left out. */
  mentionNames: 100,
  mentionsPerMessage: 20,
  /** What a notification quotes of a message, its sender's name included, in Unicode code points. */
  quoteLength: 300,
  /** Notifications that one request marks by their ids. */
  marksPerRequest: 200,
  /** Notifications that are kept for one person. */
  notificationsPerPerson: 10_000,
  /** Broadcasts that live at a time. */
  broadcasts: 100,
  /** Of these, how many may wait for a person before what others do in rooms is not told any more. */
  occasionsWaiting: 1_000,
  /** Categories of which somebody wishes something of their own. */
  categoryWishes: 100,
  /** How long a digest gathers, in minutes. */
  digestMinutesMin: 5,
  digestMinutes: 1_440,
  /** Browsers that one person has subscribed to web push; one more takes the place of the one that was silent longest. */
  pushSubscriptionsPerPerson: 20,
  /** Longest address that a push service gives to a browser, in characters. */
  pushEndpointLength: 2_000,
  /** Longest link of a notification, in UTF-16 units. */
  linkLength: 2_000,
  /** Longest `Idempotency-Key`, in characters. */
  idempotencyKeyLength: 255,
  /** Largest body of a payment provider's webhook, in bytes. */
  paymentEventBytes: 16_384,
  /** What one demo top-up may bring, in units of the currency, not in its smallest. */
  demoTopUpUnits: 1_000,
  /** Frames of one connection that may wait for their answer. */
  requestsInFlight: 64,
} as const;
