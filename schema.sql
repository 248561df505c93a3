-- The schema after all migrations. Written by npm run db:schema, checked by test/schema.pg.test.ts.

table access_api_key (
  id bigint not null generated always as identity,
  name text not null,
  hint text not null,
  hash bytea not null,
  scopes text[] not null,
  source_id bigint,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  last_used_at timestamp with time zone,
  constraint access_api_key_hash_length CHECK ((octet_length(hash) = 32)),
  constraint access_api_key_hash_unique UNIQUE (hash),
  constraint access_api_key_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 64))),
  constraint access_api_key_pkey PRIMARY KEY (id),
  constraint access_api_key_scopes_not_empty CHECK ((cardinality(scopes) > 0))
);

sequence access_api_key_id_seq;

table account_identity (
  issuer text not null,
  subject text not null,
  user_id bigint not null,
  constraint account_identity_pkey PRIMARY KEY (issuer, subject),
  constraint account_identity_user_id_fkey FOREIGN KEY (user_id) REFERENCES account_user(id)
);
CREATE INDEX account_identity_user ON public.account_identity USING btree (user_id);

table account_session (
  id uuid not null,
  user_id bigint not null,
  number integer not null default 1,
  renewed_at timestamp with time zone not null default now(),
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  end_reason text,
  constraint account_session_check CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
  constraint account_session_end_reason_check CHECK ((end_reason = ANY (ARRAY['logout'::text, 'reuse'::text, 'password'::text, 'disabled'::text, 'admin'::text, 'limit'::text]))),
  constraint account_session_number_check CHECK ((number >= 1)),
  constraint account_session_pkey PRIMARY KEY (id),
  constraint account_session_user_id_fkey FOREIGN KEY (user_id) REFERENCES account_user(id)
);
CREATE INDEX account_session_end ON public.account_session USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX account_session_expiry ON public.account_session USING btree (expires_at);
CREATE INDEX account_session_user ON public.account_session USING btree (user_id) WHERE (ended_at IS NULL);

table account_user (
  id bigint not null generated always as identity,
  uuid uuid not null default gen_random_uuid(),
  username text not null,
  email text,
  name text not null,
  role text not null default 'user'::text,
  password_hash text,
  created_at timestamp with time zone not null default now(),
  disabled_at timestamp with time zone,
  constraint account_user_email_length CHECK (((char_length(email) >= 3) AND (char_length(email) <= 254))),
  constraint account_user_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 64))),
  constraint account_user_pkey PRIMARY KEY (id),
  constraint account_user_role_check CHECK ((role = ANY (ARRAY['user'::text, 'moderator'::text, 'admin'::text]))),
  constraint account_user_username_form CHECK ((username ~ '^[a-z0-9][a-z0-9._-]{1,31}$'::text)),
  constraint account_user_uuid UNIQUE (uuid)
);
CREATE UNIQUE INDEX account_user_email ON public.account_user USING btree (lower(email));
CREATE UNIQUE INDEX account_user_username ON public.account_user USING btree (username);

sequence account_user_id_seq;

table chat_erasure (
  message_id uuid not null,
  versions integer not null,
  constraint chat_erasure_message_id_fkey FOREIGN KEY (message_id) REFERENCES chat_message(id),
  constraint chat_erasure_pkey PRIMARY KEY (message_id),
  constraint chat_erasure_versions_check CHECK ((versions >= 1))
);

table chat_message (
  room_id bigint not null,
  seq bigint not null,
  id uuid not null,
  sender_id bigint not null,
  client_msg_id uuid not null,
  reply_to uuid,
  content text not null,
  fingerprint bytea not null,
  created_at timestamp with time zone not null,
  version integer not null default 1,
  edited_at timestamp with time zone,
  deleted_at timestamp with time zone,
  constraint chat_message_check CHECK (((deleted_at IS NULL) = (content <> ''::text))),
  constraint chat_message_client_id UNIQUE (sender_id, client_msg_id),
  constraint chat_message_content_length CHECK ((char_length(content) <= 4096)),
  constraint chat_message_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
  constraint chat_message_id UNIQUE (id),
  constraint chat_message_pkey PRIMARY KEY (room_id, seq),
  constraint chat_message_reply_to_fkey FOREIGN KEY (reply_to) REFERENCES chat_message(id),
  constraint chat_message_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat_room(id),
  constraint chat_message_sender_id_fkey FOREIGN KEY (sender_id) REFERENCES account_user(id),
  constraint chat_message_seq_check CHECK ((seq >= 1)),
  constraint chat_message_version_check CHECK ((version >= 1))
);

table chat_message_revision (
  message_id uuid not null,
  version integer not null,
  content text not null,
  written_at timestamp with time zone not null,
  constraint chat_message_revision_content_check CHECK ((content <> ''::text)),
  constraint chat_message_revision_message_id_fkey FOREIGN KEY (message_id) REFERENCES chat_message(id),
  constraint chat_message_revision_pkey PRIMARY KEY (message_id, version),
  constraint chat_message_revision_version_check CHECK ((version >= 1))
);

table chat_room (
  id bigint not null generated always as identity,
  kind text not null,
  name text,
  direct_key text,
  last_seq bigint not null default 0,
  members integer not null default 0,
  created_by bigint,
  created_at timestamp with time zone not null default now(),
  constraint chat_room_check CHECK (((kind = 'direct'::text) = (direct_key IS NOT NULL))),
  constraint chat_room_check1 CHECK (((kind = 'direct'::text) = (name IS NULL))),
  constraint chat_room_created_by_fkey FOREIGN KEY (created_by) REFERENCES account_user(id),
  constraint chat_room_direct_key UNIQUE (direct_key),
  constraint chat_room_kind_check CHECK ((kind = ANY (ARRAY['public'::text, 'private'::text, 'direct'::text]))),
  constraint chat_room_last_seq_check CHECK ((last_seq >= 0)),
  constraint chat_room_members_check CHECK ((members >= 0)),
  constraint chat_room_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 80))),
  constraint chat_room_pkey PRIMARY KEY (id)
) with (fillfactor=50);
CREATE INDEX chat_room_public ON public.chat_room USING btree (id) WHERE (kind = 'public'::text);

sequence chat_room_id_seq;

table eventlog_entry (
  segment integer not null,
  part smallint not null,
  entry_offset bigint not null,
  id uuid not null,
  topic text not null,
  type text not null,
  time timestamp with time zone not null,
  actor text not null,
  data json not null,
  trace text,
  constraint eventlog_entry_id_part_segment_key UNIQUE (id, part, segment),
  constraint eventlog_entry_pkey PRIMARY KEY (part, entry_offset, segment)
) partition by LIST (segment);

table eventlog_entry_1 partition of eventlog_entry FOR VALUES IN (1);

table eventlog_group (
  group_name text not null,
  part smallint not null,
  checkpoint bigint not null,
  owner text,
  epoch bigint not null default 0,
  leased_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  lease_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  parked_changes bigint not null default 0,
  constraint eventlog_group_checkpoint_check CHECK ((checkpoint >= 0)),
  constraint eventlog_group_pkey PRIMARY KEY (group_name, part)
) with (fillfactor=50);

table eventlog_member (
  node text not null,
  seen_at timestamp with time zone not null default now(),
  groups text[] not null default '{}'::text[],
  constraint eventlog_member_pkey PRIMARY KEY (node)
);

table eventlog_meta (
  only_row boolean not null default true,
  generation integer not null default 1,
  partitions smallint not null,
  constraint eventlog_meta_generation_check CHECK ((generation >= 1)),
  constraint eventlog_meta_only_row_check CHECK (only_row),
  constraint eventlog_meta_partitions_check CHECK (((partitions >= 1) AND (partitions <= 256))),
  constraint eventlog_meta_pkey PRIMARY KEY (only_row)
);

table eventlog_parked (
  id bigint not null generated always as identity,
  group_name text not null,
  part smallint not null,
  entry_offset bigint not null,
  entry_id uuid not null,
  topic text not null,
  type text not null,
  time timestamp with time zone not null,
  actor text not null,
  data json not null,
  trace text,
  state text not null,
  attempts integer not null default 0,
  error text,
  next_at timestamp with time zone not null default now(),
  parked_at timestamp with time zone not null default now(),
  constraint eventlog_parked_attempts_check CHECK ((attempts >= 0)),
  constraint eventlog_parked_group_name_part_entry_offset_key UNIQUE (group_name, part, entry_offset),
  constraint eventlog_parked_pkey PRIMARY KEY (id),
  constraint eventlog_parked_state_check CHECK ((state = ANY (ARRAY['parked'::text, 'dead'::text])))
);
CREATE INDEX eventlog_parked_dead ON public.eventlog_parked USING btree (id) WHERE (state = 'dead'::text);
CREATE INDEX eventlog_parked_entry ON public.eventlog_parked USING btree (entry_id);
CREATE INDEX eventlog_parked_topic ON public.eventlog_parked USING btree (group_name, topic, entry_offset);
CREATE INDEX eventlog_parked_waiting ON public.eventlog_parked USING btree (group_name, part, topic, entry_offset) WHERE (state = 'parked'::text);

sequence eventlog_parked_id_seq;

table eventlog_partition (
  part smallint not null,
  segment integer not null default 1,
  next_offset bigint not null default 1,
  rotated_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  redactions bigint not null default 0,
  constraint eventlog_partition_next_offset_check CHECK ((next_offset >= 1)),
  constraint eventlog_partition_pkey PRIMARY KEY (part)
) with (fillfactor=10);

table eventlog_redacted (
  id uuid not null,
  redaction bigint not null,
  redacted_at timestamp with time zone not null default now(),
  constraint eventlog_redacted_pkey PRIMARY KEY (id),
  constraint eventlog_redacted_redaction_check CHECK ((redaction >= 1))
);
CREATE INDEX eventlog_redacted_redaction ON public.eventlog_redacted USING btree (redaction);

table eventlog_segment (
  segment integer not null,
  part smallint not null,
  first_offset bigint not null,
  opened_at timestamp with time zone not null default now(),
  constraint eventlog_segment_pkey PRIMARY KEY (segment, part)
);

table inbox_contact (
  id bigint not null generated always as identity,
  source_id bigint not null,
  external_client_id uuid not null,
  phone text not null,
  created_at timestamp with time zone not null,
  constraint inbox_contact_pkey PRIMARY KEY (id),
  constraint inbox_contact_source_id_external_client_id_key UNIQUE (source_id, external_client_id),
  constraint inbox_contact_source_id_fkey FOREIGN KEY (source_id) REFERENCES inbox_source(id)
);

sequence inbox_contact_id_seq;

table inbox_dialog (
  id bigint not null generated always as identity,
  contact_id bigint not null,
  state text not null default 'open'::text,
  messages_count integer not null,
  opened_at timestamp with time zone not null,
  last_message_at timestamp with time zone not null,
  last_message_id uuid,
  last_message_text text not null,
  activity_step bigint not null,
  constraint inbox_dialog_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES inbox_contact(id),
  constraint inbox_dialog_messages_count_check CHECK ((messages_count >= 0)),
  constraint inbox_dialog_pkey PRIMARY KEY (id),
  constraint inbox_dialog_preview_length CHECK ((char_length(last_message_text) <= 200)),
  constraint inbox_dialog_state_check CHECK ((state = ANY (ARRAY['open'::text, 'pending'::text, 'snoozed'::text, 'closed'::text])))
) with (fillfactor=70);
CREATE INDEX inbox_dialog_contact ON public.inbox_dialog USING btree (contact_id, activity_step DESC);
CREATE UNIQUE INDEX inbox_dialog_current ON public.inbox_dialog USING btree (contact_id) WHERE (state <> 'closed'::text);
CREATE INDEX inbox_dialog_page ON public.inbox_dialog USING btree (activity_step DESC, id DESC);
CREATE INDEX inbox_dialog_page_of_state ON public.inbox_dialog USING btree (state, activity_step DESC, id DESC);

sequence inbox_dialog_id_seq;

table inbox_message (
  dialog_id bigint not null,
  sent_at timestamp with time zone not null,
  number bigint not null,
  received_at timestamp with time zone not null,
  id uuid not null,
  external_message_id uuid not null,
  direction text not null default 'in'::text,
  text text,
  constraint inbox_message_direction_check CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text]))),
  constraint inbox_message_pkey PRIMARY KEY (dialog_id, sent_at, number, received_at)
) partition by RANGE (received_at);

table inbox_message_key (
  id uuid not null,
  dialog_id bigint not null,
  sent_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  constraint inbox_message_key_pkey PRIMARY KEY (id)
);

table inbox_source (
  id bigint not null generated always as identity,
  name text not null,
  scheme text not null,
  secret text,
  previous_secret text,
  previous_secret_until timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  removed_at timestamp with time zone,
  constraint inbox_source_check CHECK (((scheme = 'api_key'::text) OR (secret IS NOT NULL))),
  constraint inbox_source_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 64))),
  constraint inbox_source_pkey PRIMARY KEY (id),
  constraint inbox_source_scheme_check CHECK ((scheme = ANY (ARRAY['api_key'::text, 'standard'::text, 'hub'::text, 'telegram'::text])))
);
CREATE UNIQUE INDEX inbox_source_name ON public.inbox_source USING btree (name) WHERE (removed_at IS NULL);

sequence inbox_source_id_seq;

table ledger_account (
  id bigint not null generated always as identity,
  currency text not null,
  kind text not null,
  owner bigint,
  may_overdraw boolean not null,
  closed_at timestamp with time zone,
  debits_posted bigint not null default 0,
  credits_posted bigint not null default 0,
  debits_pending bigint not null default 0,
  credits_pending bigint not null default 0,
  constraint ledger_account_bounds CHECK (((debits_posted <= '4000000000000000000'::bigint) AND (debits_pending <= ('4000000000000000000'::bigint - debits_posted)) AND (credits_posted <= '4000000000000000000'::bigint) AND (credits_pending <= ('4000000000000000000'::bigint - credits_posted)))),
  constraint ledger_account_credits_pending_check CHECK ((credits_pending >= 0)),
  constraint ledger_account_credits_posted_check CHECK ((credits_posted >= 0)),
  constraint ledger_account_currency UNIQUE (id, currency),
  constraint ledger_account_currency_fkey FOREIGN KEY (currency) REFERENCES ledger_currency(code),
  constraint ledger_account_debits_pending_check CHECK ((debits_pending >= 0)),
  constraint ledger_account_debits_posted_check CHECK ((debits_posted >= 0)),
  constraint ledger_account_kind_check CHECK ((kind = ANY (ARRAY['wallet'::text, 'earnings'::text, 'fees'::text, 'suspense'::text, 'outside'::text]))),
  constraint ledger_account_no_overdraft CHECK ((may_overdraw OR ((debits_posted + debits_pending) <= credits_posted))),
  constraint ledger_account_one UNIQUE NULLS NOT DISTINCT (owner, kind, currency),
  constraint ledger_account_owned CHECK (((kind = ANY (ARRAY['wallet'::text, 'earnings'::text])) = (owner IS NOT NULL))),
  constraint ledger_account_owner_fkey FOREIGN KEY (owner) REFERENCES account_user(id),
  constraint ledger_account_pkey PRIMARY KEY (id),
  constraint ledger_account_wallet CHECK (((kind <> 'wallet'::text) OR (NOT may_overdraw)))
) with (fillfactor=50);

sequence ledger_account_id_seq;

table ledger_currency (
  code text not null,
  scale integer not null,
  constraint ledger_currency_code_check CHECK ((code ~ '^[A-Z]{3}$'::text)),
  constraint ledger_currency_pkey PRIMARY KEY (code),
  constraint ledger_currency_scale_check CHECK (((scale >= 0) AND (scale <= 4)))
);

table ledger_halt (
  only_one boolean not null default true,
  since timestamp with time zone not null,
  why text not null,
  constraint ledger_halt_only_one_check CHECK (only_one),
  constraint ledger_halt_pkey PRIMARY KEY (only_one),
  constraint ledger_halt_why_check CHECK (((char_length(why) >= 1) AND (char_length(why) <= 1000)))
);

table ledger_leg (
  transfer uuid not null,
  n integer not null,
  debit bigint not null,
  credit bigint not null,
  amount bigint not null,
  currency text not null,
  constraint ledger_leg_amount_check CHECK (((amount >= 1) AND (amount <= '999999999999999'::bigint))),
  constraint ledger_leg_credit FOREIGN KEY (credit, currency) REFERENCES ledger_account(id, currency),
  constraint ledger_leg_debit FOREIGN KEY (debit, currency) REFERENCES ledger_account(id, currency),
  constraint ledger_leg_n_check CHECK (((n >= 0) AND (n <= 7))),
  constraint ledger_leg_pkey PRIMARY KEY (transfer, n),
  constraint ledger_leg_transfer_fkey FOREIGN KEY (transfer) REFERENCES ledger_transfer(id),
  constraint ledger_leg_two_accounts CHECK ((debit <> credit))
) with (autovacuum_analyze_threshold=5000, autovacuum_vacuum_insert_threshold=5000);

table ledger_open_hold (
  hold uuid not null,
  expires_at timestamp with time zone,
  constraint ledger_open_hold_hold_fkey FOREIGN KEY (hold) REFERENCES ledger_transfer(id),
  constraint ledger_open_hold_pkey PRIMARY KEY (hold)
) with (autovacuum_analyze_threshold=5000, autovacuum_vacuum_insert_threshold=5000);
CREATE INDEX ledger_open_hold_due ON public.ledger_open_hold USING btree (expires_at) WHERE (expires_at IS NOT NULL);

table ledger_own_currency (
  only_one boolean not null default true,
  code text not null,
  constraint ledger_own_currency_code_fkey FOREIGN KEY (code) REFERENCES ledger_currency(code),
  constraint ledger_own_currency_only_one_check CHECK (only_one),
  constraint ledger_own_currency_pkey PRIMARY KEY (only_one)
);

table ledger_transfer (
  id uuid not null,
  kind text not null,
  purpose text not null,
  currency text,
  target uuid,
  expires_at timestamp with time zone,
  refused text,
  actor text not null,
  fingerprint bytea not null,
  places integer not null,
  created_at timestamp with time zone not null,
  constraint ledger_transfer_actor_check CHECK (((char_length(actor) >= 1) AND (char_length(actor) <= 200))),
  constraint ledger_transfer_currency CHECK (((currency IS NOT NULL) OR (refused IS NOT NULL))),
  constraint ledger_transfer_dense CHECK (((kind <> ALL (ARRAY['transfer'::text, 'hold'::text])) OR ((places & (places + 1)) = 0))),
  constraint ledger_transfer_expiry CHECK (((expires_at IS NULL) OR (kind = 'hold'::text))),
  constraint ledger_transfer_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
  constraint ledger_transfer_kind_check CHECK ((kind = ANY (ARRAY['transfer'::text, 'hold'::text, 'capture'::text, 'release'::text, 'expiry'::text, 'reversal'::text]))),
  constraint ledger_transfer_moves CHECK (((refused IS NOT NULL) OR ((places = 0) = (kind = ANY (ARRAY['release'::text, 'expiry'::text]))))),
  constraint ledger_transfer_pkey PRIMARY KEY (id),
  constraint ledger_transfer_places_check CHECK (((places >= 0) AND (places <= 255))),
  constraint ledger_transfer_purpose_check CHECK ((purpose ~ '^[a-z][a-z0-9_-]{0,63}$'::text)),
  constraint ledger_transfer_refused_check CHECK ((refused ~ '^[a-z_]{1,32}$'::text)),
  constraint ledger_transfer_target CHECK (
CASE
    WHEN (kind = ANY (ARRAY['transfer'::text, 'hold'::text])) THEN (target IS NULL)
    ELSE ((target IS NOT NULL) OR (refused IS NOT NULL))
END),
  constraint ledger_transfer_target_fkey FOREIGN KEY (target) REFERENCES ledger_transfer(id)
) with (autovacuum_analyze_threshold=5000, autovacuum_vacuum_insert_threshold=5000);
CREATE INDEX ledger_transfer_demo ON public.ledger_transfer USING btree (created_at) WHERE ((purpose = 'demo-top-up'::text) AND (refused IS NULL));
CREATE UNIQUE INDEX ledger_transfer_resolution ON public.ledger_transfer USING btree (target) WHERE ((kind = ANY (ARRAY['capture'::text, 'release'::text, 'expiry'::text])) AND (refused IS NULL));
CREATE INDEX ledger_transfer_reversal ON public.ledger_transfer USING btree (target) WHERE ((kind = 'reversal'::text) AND (refused IS NULL));

table migration (
  number integer not null,
  name text not null,
  applied_at timestamp with time zone not null default now(),
  hash text,
  constraint migration_pkey PRIMARY KEY (number)
);

table notification (
  id uuid not null,
  user_id bigint not null,
  stream_ms bigint not null,
  stream_n integer not null,
  state text not null default 'unread'::text,
  message text not null,
  source text not null,
  category text not null,
  critical boolean not null,
  link text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  gathered integer not null default 1,
  constraint notification_gathered_check CHECK ((gathered > 0)),
  constraint notification_message_length CHECK (((char_length(message) >= 1) AND (char_length(message) <= 4096))),
  constraint notification_pkey PRIMARY KEY (id),
  constraint notification_place UNIQUE (user_id, stream_ms, stream_n),
  constraint notification_source_check CHECK (((char_length(source) >= 1) AND (char_length(source) <= 64))),
  constraint notification_state_check CHECK ((state = ANY (ARRAY['unread'::text, 'seen'::text, 'read'::text, 'archived'::text]))),
  constraint notification_user_id_fkey FOREIGN KEY (user_id) REFERENCES notification_person(user_id)
) with (fillfactor=85);
CREATE INDEX notification_expiry ON public.notification USING btree (expires_at);
CREATE INDEX notification_unread ON public.notification USING btree (user_id, stream_ms, stream_n) WHERE (state = ANY (ARRAY['unread'::text, 'seen'::text]));

table notification_broadcast (
  id uuid not null,
  version bigint not null,
  stream_ms bigint not null,
  stream_n integer not null,
  message text not null,
  source text not null,
  category text not null,
  critical boolean not null,
  link text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint notification_broadcast_count CHECK ((stream_n >= 500000000)),
  constraint notification_broadcast_message_length CHECK (((char_length(message) >= 1) AND (char_length(message) <= 4096))),
  constraint notification_broadcast_pkey PRIMARY KEY (id),
  constraint notification_broadcast_place UNIQUE (stream_ms, stream_n),
  constraint notification_broadcast_source_check CHECK (((char_length(source) >= 1) AND (char_length(source) <= 64))),
  constraint notification_broadcast_version_key UNIQUE (version)
);
CREATE INDEX notification_broadcast_expiry ON public.notification_broadcast USING btree (expires_at);

table notification_broadcast_ledger (
  id boolean not null default true,
  version bigint not null default 0,
  stream_ms bigint not null default 0,
  stream_n integer not null default 0,
  constraint notification_broadcast_ledger_id_check CHECK (id),
  constraint notification_broadcast_ledger_pkey PRIMARY KEY (id),
  constraint notification_broadcast_ledger_version_check CHECK ((version >= 0))
);

table notification_digest (
  id uuid not null,
  user_id bigint not null,
  category text not null,
  gathered integer not null,
  opened_at timestamp with time zone not null,
  closes_at timestamp with time zone not null,
  constraint notification_digest_gathered_check CHECK ((gathered > 0)),
  constraint notification_digest_open UNIQUE (user_id, category),
  constraint notification_digest_pkey PRIMARY KEY (id),
  constraint notification_digest_user_id_fkey FOREIGN KEY (user_id) REFERENCES notification_person(user_id)
);
CREATE INDEX notification_digest_due ON public.notification_digest USING btree (closes_at);

table notification_held (
  id uuid not null,
  place bigint not null generated always as identity,
  user_id bigint not null,
  digest_id uuid,
  release_at timestamp with time zone,
  actor text not null,
  message text not null,
  source text not null,
  category text not null,
  link text,
  created_at timestamp with time zone not null,
  ttl_s integer not null,
  constraint notification_held_digest_id_fkey FOREIGN KEY (digest_id) REFERENCES notification_digest(id),
  constraint notification_held_message_length CHECK (((char_length(message) >= 1) AND (char_length(message) <= 4096))),
  constraint notification_held_pkey PRIMARY KEY (id),
  constraint notification_held_source_check CHECK (((char_length(source) >= 1) AND (char_length(source) <= 64))),
  constraint notification_held_ttl_s_check CHECK ((ttl_s > 0)),
  constraint notification_held_user_id_fkey FOREIGN KEY (user_id) REFERENCES notification_person(user_id),
  constraint notification_held_waits_for_one CHECK (((digest_id IS NULL) <> (release_at IS NULL)))
);
CREATE INDEX notification_held_digest ON public.notification_held USING btree (digest_id, place) WHERE (digest_id IS NOT NULL);
CREATE INDEX notification_held_due ON public.notification_held USING btree (release_at, place) WHERE (digest_id IS NULL);
CREATE INDEX notification_held_person ON public.notification_held USING btree (user_id);

sequence notification_held_place_seq;

table notification_origin (
  origin uuid not null,
  user_id bigint not null,
  notification_id uuid,
  line bytea,
  constraint notification_origin_line_check CHECK ((octet_length(line) = 32)),
  constraint notification_origin_pkey PRIMARY KEY (origin, user_id),
  constraint notification_origin_user_id_fkey FOREIGN KEY (user_id) REFERENCES notification_person(user_id)
);
CREATE INDEX notification_origin_digest ON public.notification_origin USING btree (notification_id) WHERE (line IS NOT NULL);

table notification_person (
  user_id bigint not null,
  version bigint not null default 0,
  unread integer not null default 0,
  stored integer not null default 0,
  stream_ms bigint not null default 0,
  stream_n integer not null default 0,
  preferences jsonb,
  held integer not null default 0,
  ends_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  ends_version bigint not null default '-1'::integer,
  broadcast_marks jsonb not null default '{}'::jsonb,
  constraint notification_person_held_check CHECK ((held >= 0)),
  constraint notification_person_pkey PRIMARY KEY (user_id),
  constraint notification_person_stored CHECK ((stored >= unread)),
  constraint notification_person_unread_check CHECK ((unread >= 0)),
  constraint notification_person_user_id_fkey FOREIGN KEY (user_id) REFERENCES account_user(id),
  constraint notification_person_version_check CHECK ((version >= 0))
) with (fillfactor=50);

table notification_push_due (
  subscription_id bigint not null,
  notification_id uuid not null,
  user_id bigint not null,
  told_at timestamp with time zone not null,
  due_at timestamp with time zone not null,
  failures integer not null default 0,
  id uuid not null default gen_random_uuid(),
  constraint notification_push_due_failures_check CHECK ((failures >= 0)),
  constraint notification_push_due_id UNIQUE (id),
  constraint notification_push_due_pkey PRIMARY KEY (subscription_id, notification_id),
  constraint notification_push_due_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES notification_push_subscription(id) ON DELETE CASCADE
);
CREATE INDEX notification_push_due_at ON public.notification_push_due USING btree (due_at);

table notification_push_key (
  only_one boolean not null default true,
  public_key bytea not null,
  private_key bytea not null,
  constraint notification_push_key_only_one_check CHECK (only_one),
  constraint notification_push_key_pkey PRIMARY KEY (only_one),
  constraint notification_push_key_private_key_check CHECK ((octet_length(private_key) = 32)),
  constraint notification_push_key_public_key_check CHECK ((octet_length(public_key) = 65))
);

table notification_push_subscription (
  id bigint not null generated always as identity,
  user_id bigint not null,
  session_id uuid,
  endpoint text not null,
  p256dh bytea not null,
  auth bytea not null,
  created_at timestamp with time zone not null,
  renewed_at timestamp with time zone not null,
  last_ok_at timestamp with time zone,
  constraint notification_push_endpoint UNIQUE (endpoint),
  constraint notification_push_subscription_auth_check CHECK ((octet_length(auth) = 16)),
  constraint notification_push_subscription_endpoint_check CHECK (((octet_length(endpoint) >= 1) AND (octet_length(endpoint) <= 2000))),
  constraint notification_push_subscription_p256dh_check CHECK ((octet_length(p256dh) = 65)),
  constraint notification_push_subscription_pkey PRIMARY KEY (id),
  constraint notification_push_subscription_session_id_fkey FOREIGN KEY (session_id) REFERENCES account_session(id) ON DELETE CASCADE,
  constraint notification_push_subscription_user_id_fkey FOREIGN KEY (user_id) REFERENCES account_user(id)
);
CREATE INDEX notification_push_subscription_session ON public.notification_push_subscription USING btree (session_id);
CREATE INDEX notification_push_subscription_user ON public.notification_push_subscription USING btree (user_id);

sequence notification_push_subscription_id_seq;

table notification_request (
  actor text not null,
  key text not null,
  fingerprint bytea not null,
  answer text not null,
  created_at timestamp with time zone not null,
  constraint notification_request_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
  constraint notification_request_key_check CHECK (((char_length(key) >= 1) AND (char_length(key) <= 255))),
  constraint notification_request_pkey PRIMARY KEY (actor, key)
);
CREATE INDEX notification_request_age ON public.notification_request USING btree (created_at);

table room_member (
  room_id bigint not null,
  user_id bigint not null,
  role text not null,
  joined_at timestamp with time zone not null,
  last_read_seq bigint not null,
  joined_by text not null default 'self'::text,
  constraint room_member_joined_by CHECK ((joined_by = ANY (ARRAY['self'::text, 'others'::text, 'peer'::text]))),
  constraint room_member_last_read_seq_check CHECK ((last_read_seq >= 0)),
  constraint room_member_pkey PRIMARY KEY (room_id, user_id),
  constraint room_member_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'moderator'::text, 'member'::text]))),
  constraint room_member_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat_room(id),
  constraint room_member_user_id_fkey FOREIGN KEY (user_id) REFERENCES account_user(id)
) with (fillfactor=70);
CREATE INDEX room_member_user ON public.room_member USING btree (user_id, room_id);

table wallet_payment (
  id uuid not null,
  n bigint not null generated always as identity,
  provider text not null,
  event_id text not null,
  user_id bigint,
  login text,
  amount bigint not null,
  currency text not null,
  received_at timestamp with time zone not null,
  suspended text,
  credited_to bigint,
  assignment uuid,
  assigned_at timestamp with time zone,
  assigned_by text,
  constraint wallet_payment_amount_check CHECK (((amount >= 1) AND (amount <= '999999999999999'::bigint))),
  constraint wallet_payment_assigned CHECK ((num_nonnulls(assignment, assigned_at, assigned_by) =
CASE
    WHEN ((suspended IS NOT NULL) AND (credited_to IS NOT NULL)) THEN 3
    ELSE 0
END)),
  constraint wallet_payment_assigned_by_check CHECK (((char_length(assigned_by) >= 1) AND (char_length(assigned_by) <= 200))),
  constraint wallet_payment_assignment_fkey FOREIGN KEY (assignment) REFERENCES ledger_transfer(id),
  constraint wallet_payment_credited CHECK (((suspended IS NOT NULL) OR (credited_to IS NOT NULL))),
  constraint wallet_payment_credited_to_fkey FOREIGN KEY (credited_to) REFERENCES account_user(id),
  constraint wallet_payment_currency_fkey FOREIGN KEY (currency) REFERENCES ledger_currency(code),
  constraint wallet_payment_event_id_check CHECK ((event_id ~ '^[!-~]{1,255}$'::text)),
  constraint wallet_payment_login_check CHECK (((char_length(login) >= 1) AND (char_length(login) <= 254))),
  constraint wallet_payment_moved FOREIGN KEY (id) REFERENCES ledger_transfer(id) DEFERRABLE INITIALLY DEFERRED,
  constraint wallet_payment_n_key UNIQUE (n),
  constraint wallet_payment_named CHECK ((num_nonnulls(user_id, login) = 1)),
  constraint wallet_payment_once UNIQUE (provider, event_id),
  constraint wallet_payment_pkey PRIMARY KEY (id),
  constraint wallet_payment_provider_check CHECK ((provider ~ '^[a-z0-9][a-z0-9_-]{0,31}$'::text)),
  constraint wallet_payment_suspended_check CHECK ((suspended = ANY (ARRAY['unknown_person'::text, 'person_disabled'::text, 'account_closed'::text])))
);
CREATE INDEX wallet_payment_suspense ON public.wallet_payment USING btree (n) WHERE (credited_to IS NULL);

sequence wallet_payment_n_seq;

table wallet_reconciled (
  only_one boolean not null default true,
  at timestamp with time zone not null,
  mismatch_count bigint not null,
  constraint wallet_reconciled_mismatch_count_check CHECK ((mismatch_count >= 0)),
  constraint wallet_reconciled_only_one_check CHECK (only_one),
  constraint wallet_reconciled_pkey PRIMARY KEY (only_one)
);
