-- Money: accounts, what was moved between them, and what is held. Older servers may run beside it: it only adds tables.

-- Raised by whatever must not be done to money, whoever tries.
create function ledger_refuse() returns trigger language plpgsql as $$
begin
  raise exception '% of % is refused: %', lower(tg_op), tg_table_name, tg_argv[0] using errcode = 'restrict_violation';
end $$;

create table ledger_currency (
  code  text primary key check (code ~ '^[A-Z]{3}$'),
  scale int not null check (scale between 0 and 4) -- decimals of the major unit: every amount is a count of the smallest one
);
create trigger ledger_currency_kept before update or delete on ledger_currency
  for each row execute function ledger_refuse('a currency keeps its scale, or every amount would be another one');

-- Four counters and no balance: what was posted only grows, what is pending is that of holds which wait.
create table ledger_account (
  id             bigint generated always as identity primary key,
  currency       text not null references ledger_currency,
  kind           text not null check (kind in ('wallet', 'earnings', 'fees', 'suspense', 'outside')),
  owner          bigint references account_user, -- null: the house, and the world outside
  may_overdraw   boolean not null,
  closed_at      timestamptz,
  debits_posted  bigint not null default 0 check (debits_posted >= 0),
  credits_posted bigint not null default 0 check (credits_posted >= 0),
  debits_pending bigint not null default 0 check (debits_pending >= 0),
  credits_pending bigint not null default 0 check (credits_pending >= 0),
  constraint ledger_account_wallet check (kind <> 'wallet' or not may_overdraw),
  constraint ledger_account_owned check ((kind in ('wallet', 'earnings')) = (owner is not null)),
  constraint ledger_account_no_overdraft check (may_overdraw or debits_posted + debits_pending <= credits_posted),
  -- Written so that no sum overflows. What is pending is counted: posting it later must never be what fails.
  constraint ledger_account_bounds check (
    debits_posted <= 4000000000000000000 and debits_pending <= 4000000000000000000 - debits_posted
    and credits_posted <= 4000000000000000000 and credits_pending <= 4000000000000000000 - credits_posted),
  constraint ledger_account_one unique nulls not distinct (owner, kind, currency),
  constraint ledger_account_currency unique (id, currency)
) with (fillfactor = 50); -- every batch updates the rows of hot accounts in place
create trigger ledger_account_kept before delete on ledger_account
  for each row execute function ledger_refuse('what it has moved would be nobody''s');
create trigger ledger_account_same before update of id, currency, kind, owner, may_overdraw on ledger_account
  for each row execute function ledger_refuse('an account stays what it is');
create trigger ledger_account_empty before insert on ledger_account
  for each row when (new.debits_posted <> 0 or new.credits_posted <> 0 or new.debits_pending <> 0 or new.credits_pending <> 0)
  execute function ledger_refuse('what is on an account has come from another one');
create trigger ledger_account_grows before update of debits_posted, credits_posted on ledger_account
  for each row when (new.debits_posted < old.debits_posted or new.credits_posted < old.credits_posted)
  execute function ledger_refuse('what was posted stays so: a correction is another transfer');

-- The differences cannot overflow within the bounds of an account, and a sum of them is numeric.
create function ledger_adds_up() returns trigger language plpgsql as $$
begin
  if exists (
    select from (
      select currency, debits_posted - credits_posted as posted, debits_pending - credits_pending as pending from after_it
      union all
      select currency, credits_posted - debits_posted, credits_pending - debits_pending from before_it) change
     group by currency having sum(posted) <> 0 or sum(pending) <> 0)
  then
    raise exception 'update on ledger_account is refused: in one statement as much goes into accounts as out of others'
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
create trigger ledger_account_adds_up after update on ledger_account
  referencing old table as before_it new table as after_it
  for each statement execute function ledger_adds_up();

-- Of a table that was never analysed PostgreSQL supposes that it is not tiny, and finds its rows by indexes. Of one that was, and has few
-- rows, it makes plans that read all of it, and keeps them, those of foreign keys too; half a million more may come within the
-- minute until it looks again. So the tables that grow with every transfer are not looked at before they have grown.

-- What was asked for under an id, and what came of it. One that was refused moves nothing, and its id stays refused for ever;
-- of such a one, currency, target and legs are written as far as they name what there is.
create table ledger_transfer (
  id          uuid primary key, -- made by the caller
  kind        text not null check (kind in ('transfer', 'hold', 'capture', 'release', 'expiry', 'reversal')),
  purpose     text not null check (purpose ~ '^[a-z][a-z0-9_-]{0,63}$'),
  currency    text,
  target      uuid references ledger_transfer, -- the hold that it resolves, the transfer or capture that it reverses
  expires_at  timestamptz,                     -- of a hold; null: it waits for ever
  refused     text check (refused ~ '^[a-z_]{1,32}$'),
  actor       text not null check (char_length(actor) between 1 and 200),
  fingerprint bytea not null check (octet_length(fingerprint) = 32), -- of what was asked for
  places      int not null check (places between 0 and 255),         -- which legs it has: for leg n, bit n
  created_at  timestamptz not null,
  constraint ledger_transfer_currency check (currency is not null or refused is not null),
  constraint ledger_transfer_target check (
    case when kind in ('transfer', 'hold') then target is null else target is not null or refused is not null end),
  constraint ledger_transfer_expiry check (expires_at is null or kind = 'hold'),
  constraint ledger_transfer_moves check (refused is not null or (places = 0) = (kind in ('release', 'expiry'))),
  -- Theirs are numbered from nought without a gap; those of captures and reversals like those of their targets.
  constraint ledger_transfer_dense check (kind not in ('transfer', 'hold') or places & (places + 1) = 0)
) with (autovacuum_analyze_threshold = 5000, autovacuum_vacuum_insert_threshold = 5000);
-- A hold is captured, released or expired, and once.
create unique index ledger_transfer_resolution on ledger_transfer (target)
  where kind in ('capture', 'release', 'expiry') and refused is null;
create index ledger_transfer_reversal on ledger_transfer (target) where kind = 'reversal' and refused is null;

create table ledger_leg (
  transfer uuid not null references ledger_transfer,
  n        int not null check (n between 0 and 7), -- of a capture or reversal: which leg of its target
  debit    bigint not null,
  credit   bigint not null,
  amount   bigint not null check (amount between 1 and 999999999999999),
  currency text not null,
  primary key (transfer, n),
  constraint ledger_leg_two_accounts check (debit <> credit),
  constraint ledger_leg_debit foreign key (debit, currency) references ledger_account (id, currency),
  constraint ledger_leg_credit foreign key (credit, currency) references ledger_account (id, currency)
) with (autovacuum_analyze_threshold = 5000, autovacuum_vacuum_insert_threshold = 5000);

-- What was settled gets no further legs: all that a transfer has came with it, and the primary key keeps their places.
create function ledger_leg_belongs() returns trigger language plpgsql as $$
begin
  if exists (
    select from new_leg l cross join lateral (select places from ledger_transfer where id = l.transfer limit 1) t
     where t.places >> l.n & 1 = 0)
  then
    raise exception 'insert on ledger_leg is refused: a transfer has the legs that came with it'
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
create trigger ledger_leg_belongs after insert on ledger_leg
  referencing new table as new_leg for each statement execute function ledger_leg_belongs();

create trigger ledger_transfer_kept before update or delete on ledger_transfer
  for each row execute function ledger_refuse('a correction is another transfer');
create trigger ledger_leg_kept before update or delete on ledger_leg
  for each row execute function ledger_refuse('a correction is another transfer');
create trigger ledger_account_not_emptied before truncate on ledger_account
  for each statement execute function ledger_refuse('what it has moved would be nobody''s');
create trigger ledger_transfer_not_emptied before truncate on ledger_transfer
  for each statement execute function ledger_refuse('a correction is another transfer');
create trigger ledger_leg_not_emptied before truncate on ledger_leg
  for each statement execute function ledger_refuse('a correction is another transfer');

-- Holds that wait to be resolved: so that those which are over are found without reading all that there ever were.
create table ledger_open_hold (
  hold       uuid primary key references ledger_transfer,
  expires_at timestamptz
) with (autovacuum_analyze_threshold = 5000, autovacuum_vacuum_insert_threshold = 5000);
create index ledger_open_hold_due on ledger_open_hold (expires_at) where expires_at is not null;

-- While it has its row, no payouts are made.
create table ledger_halt (
  only_one boolean primary key default true check (only_one),
  since    timestamptz not null,
  why      text not null check (char_length(why) between 1 and 1000)
);
