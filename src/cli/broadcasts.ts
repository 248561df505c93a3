import type { VerbContext } from "./context.ts";
import { moment, shortened } from "./table.ts";
import { UsageError } from "./verb.ts";

const messageShownMax = 60;

/** Shows what everybody is told, with the ids by which it is withdrawn. */
export async function listBroadcasts({ openBackstage, terminal }: VerbContext, json: boolean): Promise<void> {
  await using backstage = await openBackstage();
  const { broadcasts } = await backstage.broadcasts.listAll();
  if (json) return terminal.json(broadcasts);
  if (broadcasts.length === 0) return terminal.notice("Everybody is told nothing.");
  terminal.table(
    ["id", "ends", "category", "message"],
    broadcasts.map(({ notification_id: id, expires_at, category, message }) => [
      id,
      moment(new Date(expires_at)),
      category,
      shortened(message, messageShownMax),
    ]),
  );
}

/** Ends what everybody is told. */
export async function withdrawBroadcast({ openBackstage, terminal }: VerbContext, id: string): Promise<void> {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
    throw new UsageError(`"${id}" is not an id: take one from "notify --list"`);
  await using backstage = await openBackstage();
  if (await backstage.broadcasts.withdraw(id, "system")) terminal.print(`Broadcast ${id} is withdrawn.`);
  else terminal.notice(`There is no broadcast ${id}: it has ended, or never was.`);
}
