import type { Inbox } from "./inbox.ts";
import { type BadRequest, marker } from "./bad-bodies.ts";

const cursorOf = (place: unknown): string => Buffer.from(JSON.stringify(place)).toString("base64url");
/** Method, path, status and code, parameters at fault, body. */
type Change = readonly [string, string, string, (readonly string[] | undefined)?, string?];

const aTime = "2026-01-01T00:00:00.000Z";

/** What an operator's program may get wrong on the other routes. */
export function badReads({ admin }: Inbox): readonly BadRequest[] {
  const headers = { authorization: `Bearer ${admin}`, "content-type": "application/json" };
  const gets: readonly (readonly [string, string, (readonly string[])?])[] = [
    ...["0", "201", "abc", "1.5", "-1", "1e2", "", "99999999999999999999"].map(
      (limit) => [`/api/v1/dialogs?limit=${limit}`, "400 invalid_query", ["limit"]] as const,
    ),
    ["/api/v1/dialogs?state=asleep", "400 invalid_query", ["state"]],
    ["/api/v1/dialogs?contact_id=0", "400 invalid_query", ["contact_id"]],
    [`/api/v1/dialogs?order=${marker}`, "400 invalid_query", ["order"]],
    [`/api/v1/dialogs?cursor=${"a".repeat(201)}`, "400 invalid_query", ["cursor"]],
    ...[
      marker,
      "%F0%9F%98%80",
      cursorOf({ marker }),
      cursorOf([aTime]),
      cursorOf([aTime, 1, 2]),
      cursorOf([aTime, "1"]),
      cursorOf([aTime, 1.5]),
      cursorOf([aTime, 2 ** 60]),
      cursorOf(["yesterday", 1]),
      cursorOf(["infinity", 1]),
      cursorOf(["2026-13-01T00:00:00.000Z", 1]),
      cursorOf([`${aTime}'; select 1`, 1]),
      cursorOf([[aTime], 1]),
    ].map((cursor) => [`/api/v1/dialogs?cursor=${cursor}`, "400 invalid_cursor"] as const),
    ["/api/v1/dialogs/1/messages?cursor=bm9uZQ", "400 invalid_cursor"],
    ["/api/v1/dialogs/1/messages?limit=201", "400 invalid_query", ["limit"]],
    ...["0", "-1", "abc", "1152921504606846976", "1.0", "0x1", "%20"].map(
      (id) => [`/api/v1/dialogs/${id}/messages`, "400 invalid_path", ["id"]] as const,
    ),
    ["/api/v1/contacts/0", "400 invalid_path", ["id"]],
    [`/api/v1/contacts/${marker}`, "400 invalid_path", ["id"]],
    ["/api/v1/contacts/9007199254740991", "404 not_found"],
    ["/api/v1/contacts/%ff", "400 invalid_path"],
    ["/api/v1/contacts/%00", "400 invalid_path"],
    ["/api/v1/dead-letters/0", "400 invalid_path", ["id"]],
    ["/api/v1/dead-letters/1", "404 not_found"],
    ["/api/v1/dead-letters?group=In%20box", "400 invalid_query", ["group"]],
    [`/api/v1/dead-letters?cursor=${cursorOf(["1"])}`, "400 invalid_cursor"],
    [`/api/v1/${marker}`, "404 not_found"],
    ["/api/v1/webhook/", "404 not_found"],
    ["/API/v1/dialogs", "404 not_found"],
  ];
  const changes: readonly Change[] = [
    ["GET", "/api/v1/webhook", "405 method_not_allowed"],
    ["PUT", "/api/v1/webhook", "405 method_not_allowed"],
    ["DELETE", "/api/v1/dialogs", "405 method_not_allowed"],
    ["POST", "/api/v1/dead-letters/1/retry", "404 not_found"],
    ["DELETE", "/api/v1/dead-letters/1", "404 not_found"],
    ["POST", "/api/v1/dead-letters/retry", "400 invalid_body", ["/group"], "{}"],
    ["POST", "/api/v1/dead-letters/retry", "400 invalid_body", ["/group"], '{"group":1}'],
    ["POST", "/api/v1/sources", "400 invalid_body", ["/name", "/scheme"], "{}"],
    ["POST", "/api/v1/sources", "400 invalid_body", ["/scheme"], '{"name":"a","scheme":"smoke"}'],
    ["POST", "/api/v1/sources", "400 invalid_body", ["/name"], '{"name":"A b","scheme":"hub"}'],
    ["DELETE", "/api/v1/sources/nobody", "404 unknown_source"],
    ["DELETE", "/api/v1/sources/No%20Body", "400 invalid_path", ["name"]],
    ["POST", "/api/v1/sources/nobody/rotate", "404 unknown_source"],
  ];
  const all: readonly Change[] = [
    ...gets.map(([path, refused, at]) => ["GET", path, refused, at] as const),
    ...changes,
  ];
  return all.map(([method, path, refused, at, body]) => ({
    what: `${method} ${path}${body === undefined ? "" : ` ${body}`}`,
    method,
    path,
    refused,
    headers,
    body: body ?? "",
    ...(at === undefined ? {} : { at }),
  }));
}
