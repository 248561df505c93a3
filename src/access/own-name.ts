/** Issuer and audience of the tokens that this server makes; no outside issuer may call itself that. */
export const ownName = "tidings";
