import { type TProperties, type TSchema, Type } from "typebox";
import { errorRules } from "../../protocol/errors.ts";
import {
  type ClientFrame,
  Redacted,
  type ServerFrame,
  clientFrames,
  commonEntries,
  serverFrames,
} from "../../protocol/frames.ts";
import type { PlainForm, SocketMethod, TopicKind } from "../deps.ts";

/** What is spoken over `/ws`, as far as it is data. */
export type Spoken = {
  readonly methods: readonly Omit<SocketMethod, "handler">[];
  readonly kinds: readonly Pick<TopicKind, "kind" | "entries" | "signals" | "revokes">[];
  readonly plain: readonly Pick<PlainForm, "frames">[];
};

type Ref = { readonly $ref: string };
type Tags = readonly { readonly name: string }[];
export type Message = {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly payload: unknown;
  readonly tags?: Tags;
};
export type Operation = {
  readonly action: "send" | "receive";
  readonly channel: Ref;
  readonly summary: string;
  readonly description?: string;
  readonly messages: readonly Ref[];
  readonly reply?: { readonly channel: Ref; readonly messages: readonly Ref[] };
  readonly tags?: Tags;
};
/** The messages of a channel, and what is done with them. */
export type Parts = {
  readonly messages: Record<string, Message>;
  readonly operations: Record<string, Operation>;
};

type Told = Exclude<ServerFrame["type"], "answer" | "entry" | "signal">;
type Asked = Exclude<ClientFrame["type"], "request">;

/** What clients send, and what the server answers with where it is not an error. */
const asked: Readonly<Record<Asked, { readonly summary: string; readonly answers: readonly Told[] }>> = {
  auth: {
    summary: "Show credentials: the first ones of a connection, or newer ones of the same person",
    answers: ["hello", "renewed"],
  },
  subscribe: { summary: "Hear what is new in topics, from now on", answers: ["subscribed"] },
  resume: {
    summary: "Hear what came in topics after these positions, and what is new",
    answers: ["subscribed"],
  },
  unsubscribe: { summary: "Hear no more of topics", answers: ["unsubscribed"] },
  ping: { summary: "Ask whether the connection lives", answers: ["pong"] },
};

const told: Readonly<Record<Told, string>> = {
  hello: "The first frame of the server: who the client is, and what holds here",
  renewed: "The newer credentials are taken",
  subscribed: "From where on each topic is live, and which ones are refused",
  unsubscribed: "Nothing of these topics follows",
  error: "A frame was refused; without an id, it had none that could be read",
  pong: "The connection lives",
  limited: "The client read too slowly: entries of the topic before this position will not come",
  removed: "The client may no longer read the topic, from this position on",
  positions: "Nothing happened in these topics up to these positions",
  "token.expiring": "The credentials end soon: send newer ones with auth",
  "server.draining": "The server is about to close the connection; come back to another one",
};
/** Those that answer nothing. */
const unasked: readonly Told[] = [
  "hello",
  "limited",
  "removed",
  "positions",
  "token.expiring",
  "server.draining",
  "error",
];

const socket: Ref = { $ref: "#/channels/socket" };
const plainChannel: Ref = { $ref: "#/channels/plain" };

/** Of the subprotocol. */
export function nativeParts({ methods, kinds }: Spoken): Parts {
  const parts: Parts = { messages: {}, operations: {} };
  const { messages, operations } = parts;
  for (const [name, summary] of Object.entries(told) as [Told, string][]) {
    messages[name] = { name, summary, payload: serverFrames[name] };
  }
  for (const [name, { summary, answers }] of Object.entries(asked) as [Asked, (typeof asked)[Asked]][]) {
    messages[name] = { name, summary, payload: clientFrames[name] };
    operations[name] = receive(summary, name, answers);
  }
  for (const method of methods) addMethod(parts, method);
  operations["tell"] = {
    action: "send",
    channel: socket,
    summary: "Tell what concerns the connection itself",
    messages: unasked.map(refOf),
  };
  const names = new Set(kinds.map(({ kind }) => kind));
  for (const kind of names)
    addKind(
      parts,
      kind,
      kinds.filter((one) => one.kind === kind),
    );
  return parts;
}

function addMethod({ messages, operations }: Parts, method: Spoken["methods"][number]): void {
  const { name, summary, params, answer, errors = [] } = method;
  const [request, reply] = [`request.${name}`, `answer.${name}`];
  messages[request] = {
    name: request,
    summary,
    payload: narrowed(clientFrames.request, { name: Type.Literal(name), params }),
  };
  messages[reply] = {
    name: reply,
    summary: `What a request ${name} is answered with`,
    payload: narrowed(serverFrames.answer, { data: answer }),
  };
  const refusals = errors.map((code) => `\`${code}\`: ${errorRules[code].title}`).join("\n\n");
  operations[request] = {
    ...receive(summary, request, [reply]),
    ...(refusals === "" ? {} : { description: `Refused with:\n\n${refusals}` }),
  };
}

function addKind({ messages, operations }: Parts, kind: string, parts: Spoken["kinds"]): void {
  const tags = [{ name: `${kind}/ID` }];
  const topic = Type.String({ pattern: `^${kind}/` });
  const revoking = new Set(parts.flatMap(({ revokes = {} }) => Object.keys(revokes)));
  const pushed: string[] = [];
  const add = (message: Message): void => {
    pushed.push(message.name);
    messages[message.name] = message;
  };
  // Kinds that carry signals only have nothing to redact.
  const own = parts.flatMap(({ entries }) => Object.entries(entries));
  for (const [type, data] of own.length === 0 ? [] : [...own, ...Object.entries(commonEntries)]) {
    add({
      name: `entry.${kind}.${type}`,
      summary: `Entry ${type} of a topic ${kind}/ID`,
      ...(revoking.has(type) ? { description: "Whom it takes the topic from hears it as the last." } : {}),
      payload: narrowed(serverFrames.entry, {
        topic,
        entry: narrowed(serverFrames.entry.properties.entry, {
          type: Type.Literal(type),
          data: Type.Union([data, Redacted]),
        }),
      }),
      tags,
    });
  }
  for (const [name, data] of parts.flatMap(({ signals = {} }) => Object.entries(signals))) {
    add({
      name: `signal.${kind}.${name}`,
      summary: `Signal ${name} of a topic ${kind}/ID`,
      payload: narrowed(serverFrames.signal, { topic, name: Type.Literal(name), data }),
      tags,
    });
  }
  operations[`push.${kind}`] = {
    action: "send",
    channel: socket,
    summary: `Tell what happens in a topic ${kind}/ID to those who are subscribed to it`,
    messages: pushed.map(refOf),
    tags,
  };
}

/** Of connections without a subprotocol. */
export function plainParts(forms: Spoken["plain"]): Parts {
  const parts: Parts = { messages: {}, operations: {} };
  const add = (name: string, summary: string, payload: TSchema): Ref => {
    parts.messages[name] = { name, summary, payload };
    return { $ref: `#/channels/plain/messages/${name}` };
  };
  const refusal = add("refused", "A frame was refused", serverFrames.error);
  forms.forEach(({ frames }, i) => {
    const number = i === 0 ? "" : `.${i + 1}`;
    parts.operations[`plain.take${number}`] = {
      action: "receive",
      channel: plainChannel,
      summary: "Take a message of a plain connection; unless it is refused, nothing answers it",
      messages: [add(`sent${number}`, "A message as a plain connection sends it", frames.sent)],
      reply: { channel: plainChannel, messages: [refusal] },
    };
    parts.operations[`plain.push${number}`] = {
      action: "send",
      channel: plainChannel,
      summary: "Tell plain connections of a message",
      messages: [add(`heard${number}`, "A message as a plain connection hears it", frames.heard)],
    };
  });
  return parts;
}

function receive(summary: string, message: string, answers: readonly string[]): Operation {
  return {
    action: "receive",
    channel: socket,
    summary,
    messages: [refOf(message)],
    reply: { channel: socket, messages: [...answers, "error"].map(refOf) },
  };
}

function refOf(message: string): Ref {
  return { $ref: `#/channels/socket/messages/${message}` };
}

/** The same frame with some of its fields described more closely. */
function narrowed<T extends TSchema & { readonly properties: TProperties }>(
  schema: T,
  fields: { readonly [name in keyof T["properties"]]?: TSchema },
): object {
  return { ...schema, properties: { ...schema.properties, ...fields } };
}
