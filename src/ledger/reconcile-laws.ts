import { contentLaws } from "./content-laws.ts";

/**
 * What is true of the ledger at every moment. Each statement finds what breaks its law: where, what stands there, what ought to. What
 * has no law is what is written nowhere else; `reconcile-sweep.pg.test.ts` has the list.
 */
export const laws = {
  // All four counters of an account are what its legs add up to; what was refused is not among these.
  account_counters: `
    with leg as (
      select l.debit, l.credit, l.amount, t.kind = 'hold' as is_pending
        from ledger_leg l join ledger_transfer t on t.id = l.transfer
       where t.refused is null and (t.kind <> 'hold' or not exists (
         select from ledger_transfer r
          where r.target = t.id and r.kind in ('capture', 'release', 'expiry') and r.refused is null))),
    side as (
      select debit as account, is_pending, amount as debits, 0 as credits from leg
      union all select credit, is_pending, 0, amount from leg),
    moved as (
      select account, coalesce(sum(debits) filter (where not is_pending), 0) as debits_posted,
             coalesce(sum(credits) filter (where not is_pending), 0) as credits_posted,
             coalesce(sum(debits) filter (where is_pending), 0) as debits_pending,
             coalesce(sum(credits) filter (where is_pending), 0) as credits_pending
        from side group by account)
    select coalesce(a.id, m.account)::text as place,
           case when a.id is not null
             then concat_ws(' ', a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending) end as stands,
           concat_ws(' ', coalesce(m.debits_posted, 0), coalesce(m.credits_posted, 0), coalesce(m.debits_pending, 0),
                     coalesce(m.credits_pending, 0)) as ought
      from ledger_account a full join moved m on m.account = a.id
     where (a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending) is distinct from
           (coalesce(m.debits_posted, 0), coalesce(m.credits_posted, 0), coalesce(m.debits_pending, 0),
            coalesce(m.credits_pending, 0))`,

  // What went out of accounts went into others.
  currency_sums: `
    select currency as place, concat_ws(' ', sum(debits_posted), sum(debits_pending)) as stands,
           concat_ws(' ', sum(credits_posted), sum(credits_pending)) as ought
      from ledger_account group by currency
    having sum(debits_posted) <> sum(credits_posted) or sum(debits_pending) <> sum(credits_pending)`,

  // Numeric, since nothing is sure of what is looked at: a sum that overflows would be found by nobody.
  no_overdraft: `
    select id::text as place, concat_ws(' ', debits_posted, debits_pending) as stands, credits_posted::text as ought
      from ledger_account where not may_overdraw and debits_posted::numeric + debits_pending > credits_posted`,

  // Accounts are in a currency that is known.
  account_currencies: `
    select a.id::text as place, a.currency as stands, null as ought
      from ledger_account a left join ledger_currency c on c.code = a.currency where c.code is null`,

  // A leg belongs to a transfer, and goes between accounts of its currency.
  leg_ends: `
    select l.transfer::text as place, concat_ws(' ', l.n, l.currency, l.debit, l.credit) as stands,
           concat_ws(' ', t.currency, d.currency, c.currency) as ought
      from ledger_leg l left join ledger_transfer t on t.id = l.transfer
      left join ledger_account d on d.id = l.debit left join ledger_account c on c.id = l.credit
     where t.currency is distinct from l.currency or d.currency is distinct from l.currency
        or c.currency is distinct from l.currency`,

  // A transfer has the legs that it came with.
  legs: `
    select t.id::text as place, concat_ws(' ', t.kind, coalesce(bit_or(1 << l.n), 0)) as stands, t.places::text as ought
      from ledger_transfer t left join ledger_leg l on l.transfer = t.id
     group by t.id having coalesce(bit_or(1 << l.n), 0) <> t.places`,

  // What is resolved is a hold, what is reversed a transfer or a capture; it is there, and it was done.
  targets: `
    select t.id::text as place, concat_ws(' ', t.kind, t.currency, t.target) as stands,
           concat_ws(' ', o.kind, o.currency, o.refused) as ought
      from ledger_transfer t left join ledger_transfer o on o.id = t.target
     where t.target is not null and (o.id is null or (t.refused is null
       and (o.refused is not null or o.currency <> t.currency
            or o.kind <> all (case when t.kind = 'reversal' then array['transfer', 'capture'] else array['hold'] end))))`,

  // A capture takes no more than was set aside, between the same accounts.
  captures: `
    select c.id::text as place, concat_ws(' ', l.n, l.debit, l.credit, l.amount) as stands,
           concat_ws(' ', h.n, h.debit, h.credit, h.amount) as ought
      from ledger_transfer c join ledger_leg l on l.transfer = c.id
      left join ledger_leg h on h.transfer = c.target and h.n = l.n
     where c.kind = 'capture' and c.refused is null
       and (h.n is null or (l.debit, l.credit) <> (h.debit, h.credit) or l.amount > h.amount)`,

  // All reversals of a leg together bring back no more than it has moved, the way that it came.
  reversals: `
    select t.target::text as place, concat_ws(' ', l.n, l.debit, l.credit, sum(l.amount)) as stands,
           concat_ws(' ', o.n, o.credit, o.debit, o.amount) as ought
      from ledger_transfer t join ledger_leg l on l.transfer = t.id
      left join ledger_leg o on o.transfer = t.target and o.n = l.n
     where t.kind = 'reversal' and t.refused is null
     group by t.target, l.n, l.debit, l.credit, o.n, o.debit, o.credit, o.amount
    having o.n is null or (l.debit, l.credit) <> (o.credit, o.debit) or sum(l.amount) > o.amount`,

  // Holds are on the list of those that wait until they are resolved, and others are not.
  open_holds: `
    with waiting as (
      select h.id, h.expires_at from ledger_transfer h
       where h.kind = 'hold' and h.refused is null and not exists (
         select from ledger_transfer r
          where r.target = h.id and r.kind in ('capture', 'release', 'expiry') and r.refused is null))
    select coalesce(w.id, o.hold)::text as place, coalesce(o.expires_at::text, o.hold::text) as stands,
           coalesce(w.expires_at::text, w.id::text) as ought
      from waiting w full join ledger_open_hold o on o.hold = w.id
     where w.id is null or o.hold is null or w.expires_at is distinct from o.expires_at`,

  ...contentLaws,
} as const;

export type Law = keyof typeof laws;
