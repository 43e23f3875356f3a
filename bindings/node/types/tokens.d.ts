import { Authorizer, type Grant } from './authorizing.js';
import type { Moment, Topics } from './options.js';

/**
 * The content of a key file: a public key in PEM, of P-256, Ed25519 or RSA with 2,048 bits or more; or
 * else a secret of at least 32 bytes, for HS256. Or a JWK set, as its text or as the value.
 */
export type Key = string | Uint8Array | { readonly jwks: unknown };

/** What a token or a ticket grants, for a program that opens streams itself. */
export class Granted {
  private constructor();
  /** The topics, tag, policy and end. */
  readonly grant: Grant;
  /**
   * Whether a ticket's stream is still that of this connection. It is not when the client has come
   * back with the same ticket: end this connection then.
   */
  readonly isCurrent: boolean;
  /** Says that the stream's connection has ended: the ticket may be used again. */
  close(): void;
  [Symbol.dispose](): void;
}

export interface TokenOptions {
  /** Of a token's `aud` one has to be among these. Default: none, and a token must not have one. */
  audiences?: Topics | undefined;
  /** A token's `iss` has to be among these. Default: it is not looked at. */
  issuers?: Topics | undefined;
  /** The name of the claim that says what is granted. Default: `fanfare`. */
  claim?: string | undefined;
  /** How much earlier than its `nbf` a token may be used. Bounds: at most 5 min. Default: 5 s. */
  leewayMs?: number | undefined;
}

/** Checks JSON Web Tokens. */
export class Tokens {
  /** @throws {FanfareError} FANFARE_ERR_KEY, whose message says why; FANFARE_ERR_OPTIONS */
  constructor(keys: Key | readonly Key[], options?: TokenOptions);
  /** Replaces the keys. Streams that are open stay open. */
  setKeys(keys: Key | readonly Key[]): void;
  /** @throws {FanfareError} FANFARE_ERR_TOKEN: it is not valid, or no longer */
  verify(token: string): Granted;
}

export interface TicketOptions {
  /**
   * The most tickets that there are at once. One that was used is kept for its stream's reconnects,
   * until its grant expires. Bounds: 1 to 10,000,000. Default: 65,536.
   */
  ticketsMax?: number | undefined;
  /** How long a ticket may be unused. Bounds: 1 s to 1 hour. Default: 60 s. */
  firstUseTimeMaxMs?: number | undefined;
}

/** The tickets that were issued and are not over. */
export class Tickets {
  constructor(options?: TicketOptions);
  /** A ticket for a grant that expires, for the query of a stream's URL: `ticket=...`. */
  issue(grant: Grant): string;
  /**
   * What a ticket grants that a client shows, which uses nothing up: for a program that opens streams
   * itself, and first looks whether the client's request is within the grant. `goesOn` is as of `redeem`,
   * which gives the stream to the client then, and may still refuse it.
   */
  lookUp(ticket: string, options?: { goesOn?: boolean | undefined }): Granted;
  /**
   * Takes a ticket that a client shows to the program. `goesOn`: the client's request has the id of
   * an event, so that an older connection of the stream is no longer current.
   */
  redeem(ticket: string, options?: { goesOn?: boolean | undefined }): Granted;
}

export interface TicketAuthorizerOptions {
  /** The name of a cookie that has a token. Default: none. */
  cookie?: string | undefined;
  /** The other origins whose pages may use the cookie, at most 64. */
  cookieOrigins?: Topics | undefined;
  /** The path at which a client gets a ticket for its token; `''` for none. Default: `/tickets`. */
  exchangePath?: string | undefined;
}

/**
 * Gives a client the stream that its token or its ticket is for. One that shows nothing that is valid
 * is answered 401, one whose ticket's stream is connected 409, one for topics not granted 403.
 */
export class TicketAuthorizer extends Authorizer {
  constructor(tokens: Tokens, tickets: Tickets, options?: TicketAuthorizerOptions);
}

/** What a token says beside what it grants. Each text is at most 1 KiB. */
export interface Claims {
  audience?: string | undefined;
  issuer?: string | undefined;
  subject?: string | undefined;
  /** The id of the key. */
  kid?: string | undefined;
  /** The name of the claim that says what is granted. Default: `fanfare`. */
  claim?: string | undefined;
  notBefore?: Moment | undefined;
}

/** A key that signs tokens. */
export class SigningKey {
  /** The content of its file: a private key in PEM without a passphrase, or a secret. */
  constructor(content: string | Uint8Array);
  /** A token for a grant, which has 1 to 256 topics and expires. */
  sign(grant: Grant, claims?: Claims): string;
}
