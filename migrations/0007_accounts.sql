-- People and the devices they are signed in on. Older servers may run beside it: it only adds tables.

create table account_user (
  id            bigint generated always as identity primary key,
  uuid          uuid not null default gen_random_uuid() constraint account_user_uuid unique,
  username      text not null constraint account_user_username_form check (username ~ '^[a-z0-9][a-z0-9._-]{1,31}$'),
  email         text constraint account_user_email_length check (char_length(email) between 3 and 254),
  name          text not null constraint account_user_name_length check (char_length(name) between 1 and 64),
  role          text not null default 'user' check (role in ('user', 'moderator', 'admin')),
  password_hash text,        -- null: signs in elsewhere only
  created_at    timestamptz not null default now(),
  disabled_at   timestamptz
);
create unique index account_user_username on account_user (username);
create unique index account_user_email on account_user (lower(email));

-- Who somebody is at an outside issuer of tokens; the user is made when they first come.
create table account_identity (
  issuer  text not null,
  subject text not null,
  user_id bigint not null references account_user,
  primary key (issuer, subject)
);
create index account_identity_user on account_identity (user_id);

-- One sign-in on one device. Its refresh tokens are numbered: only the newest is good, and whoever shows an older one
-- after it was replaced has stolen it or has been stolen from, so the session ends.
create table account_session (
  id         uuid primary key,
  user_id    bigint not null references account_user,
  number     int not null default 1 check (number >= 1), -- of the newest refresh token
  renewed_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at   timestamptz,
  end_reason text check (end_reason in ('logout', 'reuse', 'password', 'disabled', 'admin', 'limit')),
  check ((ended_at is null) = (end_reason is null))
);
create index account_session_user on account_session (user_id) where ended_at is null;
create index account_session_expiry on account_session (expires_at);
