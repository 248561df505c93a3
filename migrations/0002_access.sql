-- Old servers may run beside this: it only adds a table.

-- Keys of other programs. The key itself is never stored, only its SHA-256.
create table access_api_key (
  id bigint generated always as identity primary key,
  name text not null constraint access_api_key_name_length check (char_length(name) between 1 and 64),
  -- The first characters of the key, to recognise it by.
  hint text not null,
  hash bytea not null
    constraint access_api_key_hash_unique unique
    constraint access_api_key_hash_length check (octet_length(hash) = 32),
  scopes text[] not null constraint access_api_key_scopes_not_empty check (cardinality(scopes) > 0),
  -- No foreign key: the table of sources belongs to another module.
  source_id bigint,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  -- True to within a minute: see flushUsage in src/access/api-key-usage.ts.
  last_used_at timestamptz
);
