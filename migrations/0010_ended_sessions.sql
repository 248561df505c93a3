-- Every process asks once a second which sessions have ended lately, since their access tokens have not. Older servers
-- may run beside it: it only adds an index.

create index account_session_end on account_session (ended_at) where ended_at is not null;
