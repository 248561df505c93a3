import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openTestDatabase } from "../../../test/harness.ts";
import { messageReceived } from "../../../protocol/inbox.ts";
import { type Entry, jsonText } from "../../eventlog/eventlog.ts";
import type { Db } from "../../lib/db.ts";
import { createMetrics } from "../../observe/metrics.ts";
import { contactsMax, createContactCache } from "./contacts.ts";
import { createProjection } from "./projection.ts";

const contacts = 3;
const startMs = Date.parse("2026-03-31T23:59:58.000Z");

/** What arrives: one of few messages, when it says that it was sent, how much later than the one before it arrived. */
type Arrival = { readonly id: number; readonly sentAtS: number; readonly laterMs: number };
const arrival: fc.Arbitrary<Arrival> = fc.record({
  id: fc.nat(40),
  sentAtS: fc.nat(3),
  laterMs: fc.constantFrom(0, 0, 1, 900),
});
const contactOf = (id: number): number => id % contacts;
/** A batch: entries that were handled before come again, then new ones; or an operator closes a dialog. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ again: fc.nat(6), arrivals: fc.array(arrival, { maxLength: 12, size: "max" }) }),
  },
  { weight: 1, arbitrary: fc.record({ close: fc.nat(contacts - 1) }) },
);

const hex = (kind: string, n: number): string => kind + n.toString(16).padStart(31, "0");
const uuid = (n: number): string => `00000000-0000-8000-8000-${n.toString(16).padStart(12, "0")}`;

function toEntry({ id, sentAtS }: Arrival, offset: number, time: number): Entry {
  const payload = {
    external_message_id: hex("a", id),
    external_client_id: hex("c", contactOf(id)),
    client_phone: "+79194961182",
    message_text: ` ${offset}`,
    send_at: sentAtS,
  };
  return {
    id: uuid(id),
    partition: 0,
    offset,
    topic: `contact/1/${contactOf(id)}`,
    type: messageReceived,
    time,
    actor: "system",
    data: jsonText({ source_id: 1, payload }),
    trace: undefined,
  };
}

type DialogModel = { state: string; texts: { sentAtS: number; text: string }[] };

/** The inbox in a few lines: what the tables must say in the end. */
class Model {
  readonly contacts = new Map<number, DialogModel[]>();
  readonly #known = new Set<number>();

  arrive({ id, sentAtS }: Arrival, offset: number): void {
    if (this.#known.has(id)) return;
    this.#known.add(id);
    const dialogs = this.contacts.get(contactOf(id)) ?? [];
    this.contacts.set(contactOf(id), dialogs);
    let dialog = dialogs.find(({ state }) => state === "open");
    if (dialog === undefined) {
      dialog = { state: "open", texts: [] };
      dialogs.push(dialog);
    }
    dialog.texts.push({ sentAtS, text: String(offset) });
  }

  close(contact: number): void {
    for (const dialog of this.contacts.get(contact) ?? []) dialog.state = "closed";
  }

  /** One line per dialog: whose, its state, its figures, its texts in order. */
  lines(): readonly string[] {
    return [...this.contacts].flatMap(([contact, dialogs]) =>
      dialogs.map(({ state, texts }) =>
        [
          hex("c", contact),
          state,
          texts.length,
          texts.at(-1)?.text,
          texts
            .toSorted((a, b) => a.sentAtS - b.sentAtS)
            .map(({ text }) => text)
            .join(" "),
        ].join("|"),
      ),
    );
  }
}

async function storedLines(db: Db): Promise<readonly string[]> {
  const { rows } = await db.query<{ line: string }>(
    `select concat_ws('|', replace(c.external_client_id::text, '-', ''), d.state, d.messages_count,
              d.last_message_text,
              (select string_agg(m.text, ' ' order by m.sent_at, m.number) from inbox_message m where m.dialog_id = d.id)) as line
       from inbox_contact c left join inbox_dialog d on d.contact_id = c.id`,
  );
  return rows.map(({ line }) => line);
}

test("however entries fall into batches and come again, the tables say what arrived", async (t) => {
  const db = await openTestDatabase(t);
  await db.query("insert into inbox_source (name, scheme) values ('demo', 'api_key')");
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      await db.query("truncate inbox_message, inbox_message_key, inbox_dialog, inbox_contact");
      const projection = createProjection({ metrics: createMetrics({ process: false }) });
      const model = new Model();
      const handled: Entry[] = [];
      let [offset, time] = [0, startMs];
      for (const step of steps) {
        if ("close" in step) {
          model.close(step.close);
          await db.query(
            `update inbox_dialog set state = 'closed'
              where contact_id = (select id from inbox_contact where external_client_id = $1::uuid)`,
            [hex("c", step.close)],
          );
          continue;
        }
        const fresh: Entry[] = [];
        for (const arrived of step.arrivals) {
          offset++;
          time += arrived.laterMs;
          fresh.push(toEntry(arrived, offset, time));
          model.arrive(arrived, offset);
        }
        const batch = [...handled.slice(-step.again), ...fresh];
        handled.push(...fresh);
        await db.transaction((tx) => projection.handle(batch, tx, new AbortController().signal));
      }
      assert.deepEqual((await storedLines(db)).toSorted(), model.lines().toSorted());
    }),
    { numRuns: 150 },
  );
});

test("a phone that changed while another process had the contact is changed back by the next message", async () => {
  const db = await openTestDatabase();
  await db.query("insert into inbox_source (name, scheme) values ('demo', 'api_key')");
  const deps = { metrics: createMetrics({ process: false }) };
  const [here, there] = [createProjection(deps), createProjection(deps)];
  const handle = (consumer: typeof here, offset: number, phone: string): Promise<void> => {
    const entry = toEntry({ id: offset * contacts, sentAtS: 0, laterMs: 0 }, offset, startMs + offset);
    const data = entry.data.replace("+79194961182", phone) as typeof entry.data;
    return db.transaction((tx) => consumer.handle([{ ...entry, data }], tx, new AbortController().signal));
  };
  here.onTakeOver?.();
  await handle(here, 1, "+79190000001");
  there.onTakeOver?.();
  await handle(there, 2, "+79190000002");
  here.onTakeOver?.();
  await handle(here, 3, "+79190000001");
  const { rows } = await db.query("select phone from inbox_contact");
  assert.deepEqual(rows, [{ phone: "+79190000001" }]);
});

test("one contact more than the bound is not remembered beside all others", () => {
  const cache = createContactCache();
  for (let i = 0; i <= contactsMax; i++) cache.set(String(i), { phone: "", dialogId: i });
  assert.ok(cache.size <= contactsMax);
  assert.equal(cache.get("0"), undefined);
  assert.equal(cache.get(String(contactsMax))?.dialogId, contactsMax);
});
