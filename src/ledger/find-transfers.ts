import { type Queryable, arrayLiteral } from "../lib/db.ts";
import { type AnyWish, type Leg, type Refusal, wishesMax } from "./wishes.ts";

/** What was asked for under an id, and what has come of it. */
export type FoundTransfer = {
  readonly kind: AnyWish["kind"];
  readonly purpose: string;
  readonly actor: string;
  /** Null only of what was refused, as far as it named nothing that there is. */
  readonly currency: string | null;
  /** The hold that it resolves, the transfer or capture that it reverses. */
  readonly target: string | null;
  readonly refused: Refusal | null;
  readonly createdAt: Date;
  /** Of what was refused as well, as far as they could be written; none of a release or an expiry. */
  readonly legs: readonly FoundLeg[];
};

export type FoundLeg = Leg & {
  /** Its place; of a capture or a reversal, that of the target's leg. */
  readonly n: number;
  /** How much of it can still be reversed: of what was granted and is a transfer or a capture, otherwise nothing. */
  readonly left: bigint;
};

type TransferRow = Omit<FoundTransfer, "legs" | "createdAt"> & {
  readonly id: string;
  readonly created_at: Date;
  readonly legs: string;
};

/** By their ids; those that are not there are left out. What is left of them is as of this moment: whoever reverses is told. */
export async function findTransfers(
  db: Queryable,
  ids: readonly string[],
): Promise<ReadonlyMap<string, FoundTransfer>> {
  if (ids.length > wishesMax) throw new RangeError(`${ids.length} transfers are more than ${wishesMax}`);
  const { rows } = await db.query<TransferRow>(
    `select t.id, t.kind, t.purpose, t.actor, t.currency, t.target, t.refused, t.created_at,
            (select coalesce(string_agg(concat_ws(' ', l.n, l.debit, l.credit, l.amount,
                      case when t.kind in ('transfer', 'capture') and t.refused is null
                        then l.amount - (select coalesce(sum(b.amount), 0) from ledger_transfer r
                                           join ledger_leg b on b.transfer = r.id and b.n = l.n
                                          where r.target = t.id and r.kind = 'reversal' and r.refused is null)
                        else 0 end), ',' order by l.n), '')
               from ledger_leg l where l.transfer = t.id) as legs
       from unnest($1::uuid[]) k(id)
      cross join lateral (select * from ledger_transfer where id = k.id limit 1) t`,
    [arrayLiteral(ids)],
    { name: "ledger_find_transfers" },
  );
  return new Map(
    rows.map(({ id, created_at: createdAt, legs, ...row }) => [
      id,
      { ...row, createdAt, legs: legs === "" ? [] : legs.split(",").map(readLeg) },
    ]),
  );
}

function readLeg(text: string): FoundLeg {
  const [n, debit, credit, amount = "0", left = "0"] = text.split(" ");
  return {
    n: Number(n),
    debit: Number(debit),
    credit: Number(credit),
    amount: BigInt(amount),
    left: BigInt(left),
  };
}
