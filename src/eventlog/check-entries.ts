import { isUuid } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { AppError } from "../lib/errors.ts";
import { type NewEntry, redactedData } from "./eventlog.ts";

/** Control characters end a batch's columns inside the PostgreSQL driver, so no key may hold one. */
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f]/;

/** Refuses the whole call before anything is stored when one entry breaks a limit. */
export function checkEntries(entries: readonly NewEntry[]): void {
  if (entries.length > limits.appendEntries)
    refuse("", `one append carries at most ${limits.appendEntries} entries`);
  for (const [index, entry] of entries.entries()) {
    if (!isUuid(entry.id)) refuse(`/${index}/id`, "must be a UUID in lower case");
    checkKey(index, "topic", entry.topic, limits.topicLength);
    checkKey(index, "type", entry.type, limits.entryTypeLength);
    checkKey(index, "actor", entry.actor, limits.topicLength);
    if (entry.trace !== undefined) checkKey(index, "trace", entry.trace, limits.topicLength);
    // A UTF-16 unit is at most 3 bytes of UTF-8: only texts near the limit are measured exactly.
    const { data } = entry;
    // Readers know erased entries by this text: an entry that held it would reach no consumer.
    if (data === redactedData) refuse(`/${index}/data`, "is what the data of erased entries is replaced by");
    if (data.length * 3 > limits.entryDataBytes && Buffer.byteLength(data) > limits.entryDataBytes) {
      refuse(`/${index}/data`, `is larger than ${limits.entryDataBytes} bytes`);
    }
  }
}

/** Refuses what no entry of the log could have: before anything is redacted. */
export function checkTargets(
  targets: readonly { readonly id: string; readonly topic: string | undefined }[],
): void {
  for (const [index, { id, topic }] of targets.entries()) {
    if (!isUuid(id)) refuse(`/${index}/id`, "must be a UUID", "redacted");
    if (topic !== undefined) checkKey(index, "topic", topic, limits.topicLength);
  }
}

function checkKey(index: number, field: string, value: string, lengthMax: number): void {
  if (value.length === 0 || value.length > lengthMax || control.test(value) || !value.isWellFormed()) {
    refuse(`/${index}/${field}`, `must have 1 to ${lengthMax} characters and no control characters`);
  }
}

function refuse(pointer: string, detail: string, what: "stored" | "redacted" = "stored"): never {
  throw new AppError("invalid_body", {
    detail: `the entry cannot be ${what}`,
    fields: [{ pointer, code: "range", detail }],
  });
}
