-- A push that is due keeps its name while what is to be pushed gets another id: what was erased out of a digest may have
-- been so any number of times, or be so at this moment, when what has come of the push is written down. Random: after a
-- failover that has lost rows no other one gets the same name, as it could with a sequence.
alter table notification_push_due add column id uuid not null default gen_random_uuid();
alter table notification_push_due add constraint notification_push_due_id unique (id);
