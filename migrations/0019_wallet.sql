-- What payment providers have told, and when the ledger was reconciled last. Older servers may run beside it: it only adds tables.

-- Money that has come from outside, once for each event of a provider. Its id is that of the transfer which brought it in.
create table wallet_payment (
  id          uuid primary key,
  n           bigint generated always as identity unique, -- the order of pages
  provider    text not null check (provider ~ '^[a-z0-9][a-z0-9_-]{0,31}$'),
  event_id    text not null check (event_id ~ '^[!-~]{1,255}$'),
  user_id     bigint,                                     -- whom it names, who may be nobody
  login       text check (char_length(login) between 1 and 254),
  amount      bigint not null check (amount between 1 and 999999999999999),
  currency    text not null references ledger_currency,
  received_at timestamptz not null,
  suspended   text check (suspended in ('unknown_person', 'person_disabled', 'account_closed')), -- null: credited as it came
  credited_to bigint references account_user,             -- null: it is in suspense
  assignment  uuid references ledger_transfer,            -- what moved it out of suspense
  assigned_at timestamptz,
  assigned_by text check (char_length(assigned_by) between 1 and 200),
  constraint wallet_payment_once unique (provider, event_id),
  -- At the commit: its row comes first, so that of two who credit one event the second waits for the first.
  constraint wallet_payment_moved foreign key (id) references ledger_transfer deferrable initially deferred,
  constraint wallet_payment_named check (num_nonnulls(user_id, login) = 1),
  constraint wallet_payment_credited check (suspended is not null or credited_to is not null),
  constraint wallet_payment_assigned check (
    num_nonnulls(assignment, assigned_at, assigned_by) = case when suspended is not null and credited_to is not null then 3 else 0 end)
);
-- By hand as well: what was told stays what it was, and goes to somebody once.
create trigger wallet_payment_same
  before update of id, n, provider, event_id, user_id, login, amount, currency, received_at, suspended on wallet_payment
  for each row execute function ledger_refuse('what a provider has told stays');
create trigger wallet_payment_credited_once before update on wallet_payment
  for each row when (old.credited_to is not null) execute function ledger_refuse('a payment is credited once');
create trigger wallet_payment_kept before delete on wallet_payment
  for each row execute function ledger_refuse('its event would be news again');
create trigger wallet_payment_not_emptied before truncate on wallet_payment
  for each statement execute function ledger_refuse('their events would be news again');
create index wallet_payment_suspense on wallet_payment (n) where credited_to is null;

-- Since when everything is known to add up, or not to.
create table wallet_reconciled (
  only_one       boolean primary key default true check (only_one),
  at             timestamptz not null,
  mismatch_count bigint not null check (mismatch_count >= 0)
);

-- The currency of all servers: whoever moves money keeps it what it is until the commit (src/ledger/own-currency.ts).
create table ledger_own_currency (
  only_one boolean primary key default true check (only_one),
  code     text not null references ledger_currency
);

-- Money that nobody has paid is looked for at every start, among all that was ever moved.
create index ledger_transfer_demo on ledger_transfer (created_at) where purpose = 'demo-top-up' and refused is null;
