/**
 * What was granted is what was asked for: the fingerprint is computed anew from what is written, as `fingerprintOf` does it. Nothing in
 * it needs escaping in JSON.
 */
export const contentLaws = {
  // Of what was refused as well, unless its legs could not be written.
  contents: `
    with content as (
      select transfer, string_agg('[' || debit || ',' || credit || ',"' || amount || '"]', ',' order by n) as legs
        from ledger_leg group by transfer)
    select t.id::text as place, encode(t.fingerprint, 'hex') as stands, null as ought
      from ledger_transfer t join content c on c.transfer = t.id
     where t.kind in ('transfer', 'hold') and t.fingerprint <> sha256(convert_to(
             '["' || t.id || '","' || t.kind || '","' || t.purpose || '","' || coalesce(t.currency, '') || '",' ||
             coalesce((extract(epoch from t.expires_at) * 1000)::bigint::text, 'null') || ',[' || c.legs || ']]', 'UTF8'))`,

  // Such a one has asked for these amounts of its target's legs, or for all there is of them; releases and expiries ask for no amounts.
  follow_ups: `
    select t.id::text as place, encode(t.fingerprint, 'hex') as stands, null as ought
      from ledger_transfer t
     cross join lateral (
       select '["' || t.id || '","' || t.kind || '","' || t.purpose || '","' || t.target || '",' as head,
              (select '["' || string_agg(coalesce(l.amount, 0)::text, '","' order by k) || '"]'
                 from generate_series(0, 7) k left join ledger_leg l on l.transfer = t.id and l.n = k
                where t.places >> k > 0) as amounts) w
     where t.target is not null and t.refused is null
       and t.fingerprint is distinct from sha256(convert_to(w.head || w.amounts || ']', 'UTF8'))
       and (t.fingerprint <> sha256(convert_to(w.head || 'null]', 'UTF8'))
            or (t.places > 0 and exists (
              select from ledger_leg o left join ledger_leg l on l.transfer = t.id and l.n = o.n
               where o.transfer = t.target and l.amount is distinct from o.amount)))`,
} as const;
