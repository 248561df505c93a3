import { uuidv7 } from "../../protocol/ids.ts";
import { topics } from "../../protocol/topics.ts";
import { type JsonText, type NewEntry, jsonText } from "../../src/eventlog/eventlog.ts";

/** Contacts who write: enough that every partition is busy, few enough that topics repeat within a batch. */
const contacts = 5_000;
const entryType = "bench.message.received";

/** Texts of data, about 300 bytes each as a webhook's are. Made once: no side is measured at building JSON. */
const texts: readonly JsonText[] = Array.from({ length: 1_000 }, (_, index) =>
  jsonText({
    source: 1,
    external_message_id: uuidv7().replaceAll("-", ""),
    external_client_id: hexId(index),
    client_phone: "+79194961182",
    message_text: `No. ${index}: ${"is the order on its way already? ".repeat(4)}`,
    send_at: 1_764_000_000 + index,
  }),
);
const topicNames: readonly string[] = Array.from({ length: contacts }, (_, index) =>
  topics.contact(1, hexId(index)),
);

let made = 0;

/** The next entry: a fresh id, one of the topics, one of the texts. */
export function nextEntry(): NewEntry {
  const number = made++;
  return {
    id: uuidv7(),
    topic: topicNames[(number * 7_919) % contacts] ?? "",
    type: entryType,
    actor: "source:bench",
    data: texts[number % texts.length] ?? texts[0]!,
  };
}

export function nextEntries(count: number): NewEntry[] {
  return Array.from({ length: count }, nextEntry);
}

export const entryTypes: readonly string[] = [entryType];

function hexId(number: number): string {
  return number.toString(16).padStart(32, "0");
}
