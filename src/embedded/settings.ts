import { type Layout, socketPort } from "./layout.ts";

/** What the server sets on the command line of postgres. */
export function serverSettings(layout: Layout): Record<string, string> {
  return {
    listen_addresses: "",
    port: String(socketPort),
    unix_socket_directories: quoteListItem(layout.sockets),
    unix_socket_permissions: "0700",
    max_connections: "60",
    shared_buffers: "128MB",
    max_wal_size: "2GB",
    checkpoint_timeout: "15min",
    // pglz, the only method in these binaries, takes a seventh more of the database's CPU after a checkpoint to save 6 %
    // of the WAL.
    wal_compression: "off",
    // A message's text reaches the database as part of a statement or of a row, and must not reach a log: neither
    // the statement that failed nor the DETAIL and CONTEXT of its error are written.
    log_min_messages: "warning",
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    // One file for each day of the week, emptied when its day comes round again.
    logging_collector: "on",
    log_destination: "stderr",
    log_directory: layout.logs,
    log_filename: "postgresql-%a.log",
    log_rotation_age: "1d",
    log_rotation_size: "0",
    log_truncate_on_rotation: "on",
  };
}

export function serverArguments(layout: Layout, extra: Readonly<Record<string, string>>): string[] {
  const settings = { ...serverSettings(layout), ...extra };
  return [
    "-D",
    layout.cluster,
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
}

/** In a setting that is a list, a comma or a blank would end the path. */
function quoteListItem(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
