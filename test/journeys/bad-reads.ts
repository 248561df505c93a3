import type { Inbox } from "./inbox.ts";
import { type BadRequest, marker } from "./bad-bodies.ts";

const cursorOf = (place: unknown): string => Buffer.from(JSON.stringify(place)).toString("base64url");
/** Method, path, status and code, parameters at fault, body. */
type Change = readonly [string, string, string, (readonly string[] | undefined)?, string?];

const aTime = "2026-01-01T00:00:00.000Z";
/** The list that every dialog is in, as cursors name it. */
const dialogs = "dialogs state= contact=";
const messages = (id: number, order = "asc"): string => `messages dialog=${id} order=${order}`;

/** A cursor with which nothing is wrong: those of the table differ from it in one thing each. */
export const goodCursor = cursorOf([dialogs, 1, 1]);

/** What an operator's program may get wrong on the other routes. */
export function badReads({ admin, source }: Inbox): readonly BadRequest[] {
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
      cursorOf([]),
      cursorOf([dialogs]),
      cursorOf([dialogs, 1]),
      cursorOf([dialogs, 1, 2, 3]),
      cursorOf([dialogs, 1, "1"]),
      cursorOf([dialogs, 1, 1.5]),
      cursorOf([dialogs, 1, 2 ** 60]),
      cursorOf([dialogs, aTime, 1]),
      cursorOf([dialogs, [1], 1]),
      cursorOf([dialogs, "1; select 1", 1]),
      cursorOf(["dialogs state=open contact=", 1, 1]),
      cursorOf(["dead-letters group=", 1, 1]),
      cursorOf([messages(1), 1, 1]),
    ].map((cursor) => [`/api/v1/dialogs?cursor=${cursor}`, "400 invalid_cursor"] as const),
    [`/api/v1/dialogs?state=open&cursor=${goodCursor}`, "400 invalid_cursor"],
    [`/api/v1/dialogs?contact_id=1&cursor=${goodCursor}`, "400 invalid_cursor"],
    ["/api/v1/dialogs/1/messages?cursor=bm9uZQ", "400 invalid_cursor"],
    ...[
      [dialogs, aTime, 1],
      [messages(2), aTime, 1],
      [messages(1, "desc"), aTime, 1],
      [messages(1), "yesterday", 1],
      [messages(1), "infinity", 1],
      [messages(1), "2026-13-01T00:00:00.000Z", 1],
      [messages(1), `${aTime}'; select 1`, 1],
      [messages(1), [aTime], 1],
    ].map((place) => [`/api/v1/dialogs/1/messages?cursor=${cursorOf(place)}`, "400 invalid_cursor"] as const),
    [`/api/v1/dialogs/1/messages?order=${marker}`, "400 invalid_query", ["order"]],
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
    [`/api/v1/dead-letters?cursor=${cursorOf(["dead-letters group=", "1"])}`, "400 invalid_cursor"],
    [`/api/v1/dead-letters?cursor=${cursorOf(["dead-letters group=inbox", 1])}`, "400 invalid_cursor"],
    ["/api/v1/dead-letters?group=inbux", "404 not_found"],
    [`/api/v1/sources?cursor=${cursorOf(["sources", marker.toUpperCase()])}`, "400 invalid_cursor"],
    [`/api/v1/sources?cursor=${cursorOf(["sources", "a".repeat(65)])}`, "400 invalid_cursor"],
    ["/api/v1/sources?limit=201", "400 invalid_query", ["limit"]],
    ["/api/v1/sources?x=%00", "400 invalid_query"],
    [`/stats?detail=${marker}`, "400 invalid_query", ["detail"]],
    ["/api/v1/consumers?group=inbox", "400 invalid_query", ["group"]],
    ["/api/v1/contacts/1?limit=1", "400 invalid_query", ["limit"]],
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
    [
      "POST",
      "/api/v1/sources/nobody/rotate",
      "400 invalid_body",
      ["/secret"],
      `{"secret":"${marker}${marker}${marker}"}`,
    ],
    ["POST", "/api/v1/sources/nobody/rotate", "400 invalid_body", ["/grace_s"], '{"grace_s":86401}'],
    ["POST", "/api/v1/sources", "409 conflict", undefined, `{"name":"${source.name}","scheme":"hub"}`],
    [
      "POST",
      "/api/v1/sources",
      "400 invalid_body",
      ["/secret"],
      '{"name":"a","scheme":"hub","secret":"short"}',
    ],
    [
      "POST",
      "/api/v1/sources",
      "400 invalid_body",
      ["/secret"],
      `{"name":"a","scheme":"standard","secret":"whsec_${marker.repeat(6)}a"}`,
    ],
    ["POST", "/api/v1/sources", "400 invalid_body", ["/name"], `{"name":"${"a".repeat(65)}","scheme":"hub"}`],
    ["POST", "/api/v1/dead-letters/retry", "404 not_found", undefined, '{"group":"inbux"}'],
    ["POST", "/api/v1/dead-letters/retry?group=inbox", "400 invalid_query", ["group"], '{"group":"inbux"}'],
    ["DELETE", "/api/v1/sources/nobody?force=true", "400 invalid_query", ["force"]],
    ["POST", "/api/v1/dead-letters/1/retry", "400 invalid_body", undefined, '{"group":"inbox"}'],
    ["DELETE", "/api/v1/dead-letters/1", "400 invalid_body", undefined, "{}"],
    ["DELETE", "/api/v1/sources/nobody", "400 invalid_body", undefined, `{"name":"${marker}"}`],
  ];
  const all: readonly Change[] = [
    ...gets.map(([path, refused, at]) => ["GET", path, refused, at] as const),
    ...changes,
  ];
  // As `curl -d ''` sends them.
  const empty = [
    ["POST", "/api/v1/dead-letters/1/retry", "404 not_found"],
    ["DELETE", "/api/v1/dead-letters/1", "404 not_found"],
    ["DELETE", "/api/v1/sources/nobody", "404 unknown_source"],
    ["POST", "/api/v1/sources/nobody/rotate", "404 unknown_source"],
  ] as const;
  const formless = empty.map(([method, path, refused]) => ({
    what: `${method} ${path} with an empty form`,
    method,
    path,
    refused,
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded", "content-length": "0" },
    body: "",
  }));
  const described = all.map(([method, path, refused, at, body]) => ({
    what: `${method} ${path}${body === undefined ? "" : ` ${body}`}`,
    method,
    path,
    refused,
    headers,
    body: body ?? "",
    ...(at === undefined ? {} : { at }),
  }));
  return [...described, ...formless];
}
