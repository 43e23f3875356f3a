/* Tokens, tickets and signing keys. */

#include "addon.h"

enum { TOKEN_BYTES_MAX = 8192 };

static fanfare_status find_tokens(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_token_options_problem(options, name, bounds);
}

static fanfare_status find_tickets(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_ticket_options_problem(options, name, bounds);
}

static fanfare_status find_access(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_access_options_problem(options, name, bounds);
}

static fanfare_status find_grant(const void *grant, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_grant_problem(grant, name, bounds);
}

/* Reads an array of pairs: whether a key is a JWK set, and its content. */
static bool keys_read(napi_env env, memory *memory, napi_value array, fanfare_key **out,
                      size_t *count) {
    uint32_t length = 0;
    TRY(env, napi_get_array_length(env, array, &length));
    fanfare_key *keys = memory_take(env, memory, ((size_t)length + 1) * sizeof(*keys));
    if (!keys) {
        return false;
    }
    for (uint32_t i = 0; i < length; i++) {
        napi_value pair, form, content;
        uint64_t is_set = 0;
        fanfare_text bytes;
        TRY(env, napi_get_element(env, array, i, &pair));
        TRY(env, napi_get_element(env, pair, 0, &form));
        TRY(env, napi_get_element(env, pair, 1, &content));
        if (!flag_read(env, form, "jwks", &is_set) ||
            !text_read(env, memory, content, "a key", true, &bytes)) {
            return false;
        }
        if (!bytes.data) {
            throw_type(env, "%s must be a string or a Uint8Array", "a key");
            return false;
        }
        keys[i] = fanfare_key_of(is_set ? FANFARE_KEY_JWKS : FANFARE_KEY_FILE, bytes);
    }
    *out = keys;
    *count = length;
    return true;
}

static napi_value throw_keys(napi_env env, fanfare_status code, const fanfare_key *keys,
                             size_t count) {
    char buffer[1024];
    size_t length = 0;
    if (code == FANFARE_ERR_KEY &&
        fanfare_keys_problem(keys, count, buffer, sizeof(buffer), &length) == FANFARE_OK &&
        length > 0) {
        return throw_text(env, code, fanfare_text_of(buffer, length));
    }
    return throw_code(env, code);
}

/* tokens(keys, options) -> tokens */
static napi_value tokens_new(napi_env env, napi_callback_info info) {
    napi_value args[2], result = NULL;
    memory memory;
    fanfare_key *keys;
    size_t count = 0;
    fanfare_tokens *tokens = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_token_options options = fanfare_token_options_defaults();
    if (keys_read(env, &memory, args[0], &keys, &count) &&
        struct_read(env, &memory, args[1], &TOKEN_SPEC, &options)) {
        fanfare_status code = fanfare_tokens_new(keys, count, &options, &tokens);
        if (code == FANFARE_OK) {
            result = object_make(env, OBJECT_TOKENS, tokens);
        } else if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_tokens);
        } else {
            throw_keys(env, code, keys, count);
        }
    }
    memory_free(&memory);
    return result;
}

/* tokensSetKeys(tokens, keys) */
static napi_value tokens_set_keys(napi_env env, napi_callback_info info) {
    napi_value args[2];
    memory memory;
    fanfare_key *keys;
    size_t count = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *tokens = object_open(env, args[0], OBJECT_TOKENS);
    if (!tokens) {
        return NULL;
    }
    memory_init(&memory);
    if (keys_read(env, &memory, args[1], &keys, &count)) {
        fanfare_status code = fanfare_tokens_set_keys(tokens->native, keys, count);
        if (code != FANFARE_OK) {
            throw_keys(env, code, keys, count);
        }
    }
    memory_free(&memory);
    return NULL;
}

/* ---- what is granted ---- */

static napi_value grant_value(napi_env env, const fanfare_grant *grant) {
    napi_value value;
    CHECK(env, napi_create_object(env, &value));
    const char *policy = choice_name(POLICY_CHOICES, grant->policy);
    bool set =
        set_value(env, value, "topics", texts_value(env, grant->topics, grant->topics_count)) &&
        set_bool(env, value, "anyTopics", grant->any_topics != 0) &&
        (!grant->tag.data || set_text(env, value, "tag", grant->tag)) &&
        (grant->expires_at_unix_ms == 0 ||
         set_number(env, value, "expiresAt", (double)grant->expires_at_unix_ms)) &&
        (!policy || set_string(env, value, "policy", policy));
    return set ? value : NULL;
}

/* tokensVerify(tokens, token) -> granted */
static napi_value tokens_verify(napi_env env, napi_callback_info info) {
    napi_value args[2], result = NULL;
    memory memory;
    fanfare_text token;
    fanfare_granted *granted = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *tokens = object_open(env, args[0], OBJECT_TOKENS);
    if (!tokens) {
        return NULL;
    }
    memory_init(&memory);
    if (required_read(env, &memory, args[1], "token", &token)) {
        fanfare_status code = fanfare_tokens_verify(tokens->native, token, &granted);
        result = code == FANFARE_OK ? object_make(env, OBJECT_GRANTED, granted)
                                    : throw_code(env, code);
    }
    memory_free(&memory);
    return result;
}

/* grantedGrant(granted) -> grant */
static napi_value granted_grant(napi_env env, napi_callback_info info) {
    napi_value args[1];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *granted = object_open(env, args[0], OBJECT_GRANTED);
    if (!granted) {
        return NULL;
    }
    fanfare_grant grant = fanfare_grant_of(NULL, 0);
    fanfare_status code = fanfare_granted_grant(granted->native, &grant);
    return code == FANFARE_OK ? grant_value(env, &grant) : throw_code(env, code);
}

/* grantedIsCurrent(granted) -> boolean */
static napi_value granted_is_current(napi_env env, napi_callback_info info) {
    napi_value args[1], result;
    uint32_t is_current = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *granted = object_of(env, args[0], OBJECT_GRANTED);
    if (!granted) {
        return NULL;
    }
    if (!granted->closing) {
        fanfare_status code = fanfare_granted_is_current(granted->native, &is_current);
        if (code != FANFARE_OK) {
            return throw_code(env, code);
        }
    }
    CHECK(env, napi_get_boolean(env, is_current != 0, &result));
    return result;
}

/* grantedClose(granted); once more does nothing */
static napi_value granted_close(napi_env env, napi_callback_info info) {
    napi_value args[1];
    if (args_of(env, info, COUNT_OF(args), args)) {
        object *granted = object_of(env, args[0], OBJECT_GRANTED);
        if (granted && !granted->closing) {
            object_close(granted);
        }
    }
    return NULL;
}

/* ---- tickets ---- */

/* tickets(options) -> tickets */
static napi_value tickets_new(napi_env env, napi_callback_info info) {
    napi_value args[1], result = NULL;
    memory memory;
    fanfare_tickets *tickets = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_ticket_options options = fanfare_ticket_options_defaults();
    if (struct_read(env, &memory, args[0], &TICKET_SPEC, &options)) {
        fanfare_status code = fanfare_tickets_new(&options, &tickets);
        if (code == FANFARE_OK) {
            result = object_make(env, OBJECT_TICKETS, tickets);
        } else if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_tickets);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

/* ticketsIssue(tickets, grant) -> string */
static napi_value tickets_issue(napi_env env, napi_callback_info info) {
    napi_value args[2], result = NULL;
    memory memory;
    fanfare_ticket ticket = {.length = 0};
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *tickets = object_open(env, args[0], OBJECT_TICKETS);
    if (!tickets) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_grant grant = fanfare_grant_of(NULL, 0);
    if (struct_read(env, &memory, args[1], &GRANT_SPEC, &grant)) {
        fanfare_status code = fanfare_tickets_issue(tickets->native, &grant, &ticket);
        if (code == FANFARE_OK) {
            result = text_value(env, fanfare_ticket_text(&ticket));
        } else if (code == FANFARE_ERR_GRANT) {
            throw_problem(env, code, &grant, find_grant);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

/* What a ticket that a client shows grants, by one of the library's functions. */
static napi_value tickets_ask(napi_env env, napi_callback_info info,
                              fanfare_status (*ask)(const fanfare_tickets *tickets, fanfare_text ticket,
                                                    uint32_t goes_on, fanfare_granted **out)) {
    napi_value args[3], result = NULL;
    memory memory;
    fanfare_text ticket;
    uint64_t goes_on = 0;
    fanfare_granted *granted = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *tickets = object_open(env, args[0], OBJECT_TICKETS);
    if (!tickets || !flag_read(env, args[2], "goesOn", &goes_on)) {
        return NULL;
    }
    memory_init(&memory);
    if (required_read(env, &memory, args[1], "ticket", &ticket)) {
        fanfare_status code = ask(tickets->native, ticket, (uint32_t)goes_on, &granted);
        result = code == FANFARE_OK ? object_make(env, OBJECT_GRANTED, granted)
                                    : throw_code(env, code);
    }
    memory_free(&memory);
    return result;
}

/* ticketsLookUp(tickets, ticket, goesOn) -> granted */
static napi_value tickets_look_up(napi_env env, napi_callback_info info) {
    return tickets_ask(env, info, fanfare_tickets_look_up);
}

/* ticketsRedeem(tickets, ticket, goesOn) -> granted */
static napi_value tickets_redeem(napi_env env, napi_callback_info info) {
    return tickets_ask(env, info, fanfare_tickets_redeem);
}

/* authorizerTickets(tokens, tickets, options) -> authorizer */
static napi_value authorizer_tickets(napi_env env, napi_callback_info info) {
    napi_value args[3], result = NULL;
    memory memory;
    fanfare_authorizer *authorizer = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *tokens = object_open(env, args[0], OBJECT_TOKENS);
    object *tickets = tokens ? object_open(env, args[1], OBJECT_TICKETS) : NULL;
    if (!tickets) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_access_options options = fanfare_access_options_defaults();
    if (struct_read(env, &memory, args[2], &ACCESS_SPEC, &options)) {
        fanfare_status code = fanfare_authorizer_new_tickets(tokens->native, tickets->native,
                                                             &options, &authorizer);
        if (code == FANFARE_OK) {
            result = object_make(env, OBJECT_AUTHORIZER, authorizer);
        } else if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_access);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

/* ---- signing keys ---- */

/* signingKey(content) -> key */
static napi_value signing_key_new(napi_env env, napi_callback_info info) {
    napi_value args[1], result = NULL;
    memory memory;
    fanfare_text bytes;
    fanfare_signing_key *key = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    memory_init(&memory);
    if (text_read(env, &memory, args[0], "content", true, &bytes)) {
        if (!bytes.data) {
            throw_type(env, "%s must be a string or a Uint8Array", "content");
        } else {
            fanfare_status code = fanfare_signing_key_new(bytes, &key);
            result = code == FANFARE_OK ? object_make(env, OBJECT_SIGNING_KEY, key)
                                        : throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

/* sign(key, grant, claims) -> string */
static napi_value signing_key_sign(napi_env env, napi_callback_info info) {
    napi_value args[3], result = NULL;
    memory memory;
    char buffer[TOKEN_BYTES_MAX];
    size_t length = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *key = object_open(env, args[0], OBJECT_SIGNING_KEY);
    if (!key) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_grant grant = fanfare_grant_of(NULL, 0);
    fanfare_token_claims claims = fanfare_token_claims_none();
    if (struct_read(env, &memory, args[1], &GRANT_SPEC, &grant) &&
        struct_read(env, &memory, args[2], &CLAIMS_SPEC, &claims)) {
        fanfare_status code = fanfare_signing_key_sign(key->native, &grant, &claims, buffer,
                                                       sizeof(buffer), &length);
        if (code == FANFARE_OK) {
            result = text_value(env, fanfare_text_of(buffer, length));
        } else if (code == FANFARE_ERR_GRANT) {
            throw_problem(env, code, &grant, find_grant);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

const export TOKEN_EXPORTS[] = {
    {"tokens", tokens_new},
    {"tokensSetKeys", tokens_set_keys},
    {"tokensVerify", tokens_verify},
    {"grantedGrant", granted_grant},
    {"grantedIsCurrent", granted_is_current},
    {"grantedClose", granted_close},
    {"tickets", tickets_new},
    {"ticketsIssue", tickets_issue},
    {"ticketsLookUp", tickets_look_up},
    {"ticketsRedeem", tickets_redeem},
    {"authorizerTickets", authorizer_tickets},
    {"signingKey", signing_key_new},
    {"sign", signing_key_sign},
    {NULL, NULL},
};
