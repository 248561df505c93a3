-- Pages of dialogs are read in the order of an index, also where very many share one step of activity. Older servers may
-- run beside this: the order of their lists begins as these indexes do. Building them keeps the inbox from being written
-- for a few seconds per million dialogs; webhooks are accepted meanwhile.

create index inbox_dialog_page on inbox_dialog (activity_step desc, id desc);
create index inbox_dialog_page_of_state on inbox_dialog (state, activity_step desc, id desc);
drop index inbox_dialog_by_time;
drop index inbox_dialog_by_state;
