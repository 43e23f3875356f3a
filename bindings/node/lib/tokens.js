'use strict';

// Tokens and tickets: authorization that asks the program nothing.

const { Authorizer } = require('./authorize.js');
const { invalid } = require('./event.js');
const native = require('./native.js');

function keysOf(keys) {
  return (Array.isArray(keys) ? keys : [keys]).map((key) => {
    if (typeof key === 'string' || key instanceof Uint8Array) return [false, key];
    if (typeof key === 'object' && key !== null && 'jwks' in key) {
      const { jwks } = key;
      return [true, typeof jwks === 'string' || jwks instanceof Uint8Array ? jwks : JSON.stringify(jwks)];
    }
    throw invalid('a key must be a string, a Uint8Array or {jwks}');
  });
}

/** What a token or a ticket grants. */
class Granted {
  #native;

  constructor(granted) {
    this.#native = granted;
    this.grant = native.grantedGrant(granted);
  }

  get isCurrent() {
    return native.grantedIsCurrent(this.#native);
  }

  close() {
    native.grantedClose(this.#native);
  }

  [Symbol.dispose]() {
    this.close();
  }
}

/** Checks JSON Web Tokens. */
class Tokens {
  constructor(keys, options = {}) {
    /** @internal */
    Object.defineProperty(this, 'native', { value: native.tokens(keysOf(keys), options) });
  }

  setKeys(keys) {
    native.tokensSetKeys(this.native, keysOf(keys));
  }

  verify(token) {
    return new Granted(native.tokensVerify(this.native, token));
  }
}

/** The tickets that were issued and are not over. */
class Tickets {
  constructor(options = {}) {
    /** @internal */
    Object.defineProperty(this, 'native', { value: native.tickets(options) });
  }

  issue(grant) {
    return native.ticketsIssue(this.native, grant);
  }

  lookUp(ticket, { goesOn = false } = {}) {
    return new Granted(native.ticketsLookUp(this.native, ticket, goesOn));
  }

  redeem(ticket, { goesOn = false } = {}) {
    return new Granted(native.ticketsRedeem(this.native, ticket, goesOn));
  }
}

/** Gives a client the stream that its token or its ticket is for. */
class TicketAuthorizer extends Authorizer {
  constructor(tokens, tickets, options = {}) {
    super(native.authorizerTickets(tokens.native, tickets.native, options));
  }
}

/** A key that signs tokens. */
class SigningKey {
  #native;

  constructor(content) {
    this.#native = native.signingKey(content);
  }

  sign(grant, claims = {}) {
    return native.sign(this.#native, grant, claims);
  }
}

module.exports = { Granted, SigningKey, TicketAuthorizer, Tickets, Tokens };
