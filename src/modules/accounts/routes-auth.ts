import { Type } from "typebox";
import { Login, RefreshBody, Registration, SignedIn } from "../../../protocol/accounts.ts";
import type { Deps, Route, RouteRequest, RouteResponse } from "../../deps.ts";
import type { SignIns } from "./sign-in.ts";

type AuthDeps = Pick<Deps, "log"> & { readonly signIns: SignIns };

const shared = {
  method: "POST",
  scope: "open",
  tag: "accounts",
  /** What is read here is not yet known to come from anybody. */
  bodyBytesMax: 16_384,
} as const;

/** How people get in and out. Nobody has to be anybody for that. */
export function authRoutes({ log, signIns }: AuthDeps): readonly Route[] {
  const note = ({ requestId }: RouteRequest, { user }: SignedIn, text: string): void => {
    log.info({ request_id: requestId, user: user.id }, text);
  };
  return [
    {
      ...shared,
      path: "/api/v1/auth/register",
      summary: "Become a person of this server, and sign in",
      body: Registration,
      responses: { 201: SignedIn },
      errors: ["conflict", "forbidden"],
      handler: async (request) => {
        const signedIn = await signIns.register(request.body as Registration, request.ip);
        note(request, signedIn, "person registered");
        return secret(201, signedIn);
      },
    },
    {
      ...shared,
      path: "/api/v1/auth/login",
      summary: "Sign in with a username or e-mail address and a password",
      body: Login,
      responses: { 200: SignedIn },
      errors: ["unauthorized", "forbidden"],
      handler: async (request) => {
        const signedIn = await signIns.login(request.body as Login, request.ip);
        note(request, signedIn, "person signed in");
        return secret(200, signedIn);
      },
    },
    {
      ...shared,
      path: "/api/v1/auth/refresh",
      summary: "Trade a refresh token for the next one and a new access token",
      description:
        "A refresh token is good once. Shown again within 30 seconds it gets the same next one, for the case that the answer was lost; later its session ends, since somebody else must have it too.",
      body: RefreshBody,
      responses: { 200: SignedIn },
      errors: ["unauthorized", "forbidden"],
      handler: async ({ body }) => secret(200, await signIns.refresh((body as RefreshBody).refresh_token)),
    },
    {
      ...shared,
      path: "/api/v1/auth/logout",
      summary: "End a sign-in by its refresh token",
      description:
        "Answered alike whether the token was good or not: afterwards it is not, and the sign-in's access tokens are not either.",
      body: RefreshBody,
      responses: { 204: Type.Null({ description: "The refresh token is not good any more" }) },
      errors: ["forbidden"],
      handler: async ({ body }) => {
        await signIns.logout((body as RefreshBody).refresh_token);
        return { status: 204 };
      },
    },
  ];
}

/** An answer that nobody may keep. */
function secret(status: number, body: SignedIn): RouteResponse {
  return { status, body, headers: { "cache-control": "no-store" } };
}
