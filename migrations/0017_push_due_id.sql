-- A push that is due keeps its place while what is to be pushed gets another id: what was erased out of a digest may have
-- been so any number of times, or be so at this moment, when what has come of the push is written down.
alter table notification_push_due add column id bigint generated always as identity;
alter table notification_push_due add constraint notification_push_due_id unique (id);
