-- Web push: who may be reached by it, and what is due. Older servers may run beside it: it only adds tables.

-- The key pair that pushes are signed with unless the options name one: made once, the same for all processes. It lies
-- where the subscriptions lie, which are good for nothing without it, and which are as secret.
create table notification_push_key (
  only_one    boolean primary key default true check (only_one),
  public_key  bytea not null check (octet_length(public_key) = 65),
  private_key bytea not null check (octet_length(private_key) = 32)
);

-- Browsers that push services reach: whoever knows all of a row can push to it.
create table notification_push_subscription (
  id         bigint generated always as identity primary key,
  user_id    bigint not null references account_user,
  session_id uuid references account_session on delete cascade, -- the sign-in that it ends with; null: of another issuer
  endpoint   text not null constraint notification_push_endpoint unique check (octet_length(endpoint) between 1 and 2000),
  p256dh     bytea not null check (octet_length(p256dh) = 65),
  auth       bytea not null check (octet_length(auth) = 16),
  created_at timestamptz not null,
  renewed_at timestamptz not null, -- when the browser last said that it is there
  last_ok_at timestamptz           -- when a push service last took something for it
);
create index notification_push_subscription_user on notification_push_subscription (user_id);
create index notification_push_subscription_session on notification_push_subscription (session_id);

-- What is to be pushed. A row that is being worked on is due again when its lease ends: after a crash it is sent again.
create table notification_push_due (
  subscription_id bigint not null references notification_push_subscription on delete cascade,
  notification_id uuid not null,
  user_id         bigint not null,      -- whom it tells: a subscription may change hands
  told_at         timestamptz not null, -- when the entry was appended that tells of it
  due_at          timestamptz not null,
  failures        int not null default 0 check (failures >= 0),
  primary key (subscription_id, notification_id)
);
create index notification_push_due_at on notification_push_due (due_at);
