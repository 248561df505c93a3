-- The inbox: sources, contacts, dialogs and messages from outside messengers. Older servers may run beside it.

create table inbox_source (
  id                    bigint generated always as identity primary key,
  name                  text not null constraint inbox_source_name_length check (char_length(name) between 1 and 64),
  scheme                text not null check (scheme in ('api_key', 'standard', 'hub', 'telegram')),
  secret                text,        -- as it is: a signature cannot be checked with its hash
  previous_secret       text,        -- still good until then, so that the sender can change over
  previous_secret_until timestamptz,
  created_at            timestamptz not null default now(),
  removed_at            timestamptz,
  check (scheme = 'api_key' or secret is not null)
);
create unique index inbox_source_name on inbox_source (name) where removed_at is null;

-- A person in an outside messenger, as one source knows them.
create table inbox_contact (
  id                 bigint generated always as identity primary key,
  source_id          bigint not null references inbox_source,
  external_client_id uuid not null, -- 32 hexadecimal digits are a uuid's 16 bytes
  phone              text not null,
  created_at         timestamptz not null,
  unique (source_id, external_client_id)
);

create table inbox_dialog (
  id                bigint generated always as identity primary key,
  contact_id        bigint not null references inbox_contact,
  state             text not null default 'open' check (state in ('open', 'pending', 'snoozed', 'closed')),
  messages_count    int not null check (messages_count >= 0),
  opened_at         timestamptz not null,
  last_message_at   timestamptz not null,
  last_message_id   uuid,
  last_message_text text not null constraint inbox_dialog_preview_length check (char_length(last_message_text) <= 200),
  -- last_message_at in steps of ten seconds. Lists are indexed by the step and sorted within it: a dialog in lively
  -- use then changes no indexed column, and its row is updated in place.
  activity_step     bigint not null
) with (fillfactor = 70);
-- One dialog that is not closed per contact, whatever races.
create unique index inbox_dialog_current on inbox_dialog (contact_id) where state <> 'closed';
create index inbox_dialog_contact on inbox_dialog (contact_id, activity_step desc);
create index inbox_dialog_by_state on inbox_dialog (state, activity_step desc);
create index inbox_dialog_by_time on inbox_dialog (activity_step desc);

-- The truth about which messages are here, for ever: partitioned tables can be unique only within a partition.
create table inbox_message_key (
  id          uuid primary key,
  dialog_id   bigint not null,
  sent_at     timestamptz not null,
  received_at timestamptz not null
);

-- Messages by month of arrival; retention drops whole months.
create table inbox_message (
  dialog_id           bigint not null,
  sent_at             timestamptz not null,
  number              bigint not null, -- orders what was sent in the same second by its arrival: the offset in the log
  received_at         timestamptz not null,
  id                  uuid not null,
  external_message_id uuid not null,
  direction           text not null default 'in' check (direction in ('in', 'out')),
  text                text, -- null once it was erased
  primary key (dialog_id, sent_at, number, received_at)
) partition by range (received_at);
