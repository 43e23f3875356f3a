/* Authorizers that ask the program, and the answers. */

#include "addon.h"

static fanfare_status find_ask(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_ask_options_problem(options, name, bounds);
}

static fanfare_status find_grant(const void *grant, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_grant_problem(grant, name, bounds);
}

static fanfare_status find_refusal(const void *refusal, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_refusal_problem(refusal, name, bounds);
}

/* authorizerAsk(token, options) -> authorizer */
static napi_value authorizer_ask(napi_env env, napi_callback_info info) {
    napi_value args[2], result = NULL;
    memory memory;
    uint64_t token = 0;
    bool is_whole = false;
    fanfare_authorizer *authorizer = NULL;
    fanfare_notices *notices = notices_of(env);
    if (!notices || !args_of(env, info, COUNT_OF(args), args) ||
        !number_read(env, args[0], "token", SAFE_INTEGER_MAX, &is_whole, &token)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_ask_options options = fanfare_ask_options_defaults();
    if (struct_read(env, &memory, args[1], &ASK_SPEC, &options)) {
        fanfare_status code = fanfare_authorizer_new_ask(notices, token, &options, &authorizer);
        if (code == FANFARE_OK) {
            result = object_make(env, OBJECT_AUTHORIZER, authorizer);
        } else if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_ask);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

/* An answer that comes when its client has left is none. */
static void check_answer(napi_env env, fanfare_status code, const void *answer,
                         problem_finder find) {
    if (code == FANFARE_ERR_GRANT) {
        throw_problem(env, code, answer, find);
    } else if (code != FANFARE_OK && code != FANFARE_ERR_STALE) {
        throw_code(env, code);
    }
}

/* authorizerAllow(authorizer, id, grant) */
static napi_value authorizer_allow(napi_env env, napi_callback_info info) {
    napi_value args[3];
    memory memory;
    uint64_t id = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *authorizer = object_open(env, args[0], OBJECT_AUTHORIZER);
    if (!authorizer || !id_read(env, args[1], "id", &id)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_grant grant = fanfare_grant_of(NULL, 0);
    if (struct_read(env, &memory, args[2], &GRANT_SPEC, &grant)) {
        check_answer(env, fanfare_authorizer_allow(authorizer->native, id, &grant), &grant,
                     find_grant);
    }
    memory_free(&memory);
    return NULL;
}

/* authorizerRefuse(authorizer, id, refusal) */
static napi_value authorizer_refuse(napi_env env, napi_callback_info info) {
    napi_value args[3];
    memory memory;
    uint64_t id = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *authorizer = object_open(env, args[0], OBJECT_AUTHORIZER);
    if (!authorizer || !id_read(env, args[1], "id", &id)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_refusal refusal = fanfare_refusal_of(0);
    if (struct_read(env, &memory, args[2], &REFUSAL_SPEC, &refusal)) {
        check_answer(env, fanfare_authorizer_refuse(authorizer->native, id, &refusal), &refusal,
                     find_refusal);
    }
    memory_free(&memory);
    return NULL;
}

/* authorizerGiveUp(authorizer, id) */
static napi_value authorizer_give_up(napi_env env, napi_callback_info info) {
    napi_value args[2];
    uint64_t id = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    object *authorizer = object_open(env, args[0], OBJECT_AUTHORIZER);
    if (authorizer && id_read(env, args[1], "id", &id)) {
        fanfare_status code = fanfare_authorizer_give_up(authorizer->native, id);
        if (code != FANFARE_OK && code != FANFARE_ERR_STALE) {
            throw_code(env, code);
        }
    }
    return NULL;
}

const export AUTHORIZE_EXPORTS[] = {
    {"authorizerAsk", authorizer_ask},
    {"authorizerAllow", authorizer_allow},
    {"authorizerRefuse", authorizer_refuse},
    {"authorizerGiveUp", authorizer_give_up},
    {NULL, NULL},
};
