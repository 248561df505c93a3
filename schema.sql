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

table migration (
  number integer not null,
  name text not null,
  applied_at timestamp with time zone not null default now(),
  hash text,
  constraint migration_pkey PRIMARY KEY (number)
);
