/* Jobs: calls that may block run on a thread of the runtime's pool, and settle a promise. */

#include "addon.h"

job *job_new(napi_env env, napi_value hub, bool may_be_closed) {
    object *kept = may_be_closed ? object_of(env, hub, OBJECT_HUB) : object_open(env, hub, OBJECT_HUB);
    if (!kept) {
        return NULL;
    }
    job *made = calloc(1, sizeof(*made));
    if (!made) {
        throw_code(env, FANFARE_ERR_SYSTEM);
        return NULL;
    }
    memory_init(&made->memory);
    made->hub = object_keep(kept);
    return made;
}

void job_free(job *given) {
    object_drop(given->hub);
    memory_free(&given->memory);
    free(given);
}

static void run(napi_env env, void *data) {
    (void)env;
    job *given = data;
    given->status = given->run(given);
}

static napi_value result_of(napi_env env, napi_status status, job *given) {
    if (status == napi_cancelled) {
        return throw_code(env, FANFARE_ERR_CLOSED);
    }
    if (given->status != FANFARE_OK) {
        return given->failed ? given->failed(env, given) : throw_code(env, given->status);
    }
    napi_value result;
    if (!given->done) {
        CHECK(env, napi_get_undefined(env, &result));
        return result;
    }
    return given->done(env, given);
}

static void complete(napi_env env, napi_status status, void *data) {
    job *given = data;
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) == napi_ok) {
        napi_value exception;
        napi_value result = result_of(env, status, given);
        if (result) {
            napi_resolve_deferred(env, given->deferred, result);
        } else if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
            napi_reject_deferred(env, given->deferred, exception);
        }
        napi_close_handle_scope(env, scope);
    }
    napi_delete_async_work(env, given->work);
    job_free(given);
}

napi_value job_start(napi_env env, job *given) {
    napi_value name, promise;
    napi_status status = napi_create_string_utf8(env, "fanfare", NAPI_AUTO_LENGTH, &name);
    if (status == napi_ok) {
        status = napi_create_async_work(env, NULL, name, run, complete, given, &given->work);
    }
    if (status == napi_ok) {
        status = napi_create_promise(env, &given->deferred, &promise);
        if (status == napi_ok) {
            status = napi_queue_async_work(env, given->work);
        }
        if (status != napi_ok) {
            napi_delete_async_work(env, given->work);
        }
    }
    if (status != napi_ok) {
        job_free(given);
        return throw_last(env);
    }
    return promise;
}
