/* Hubs: made, closed and drained; and their rules. */

#include "addon.h"

static fanfare_status find_hub(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_options_problem(options, name, bounds);
}

static fanfare_status find_drain(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_drain_options_problem(options, name, bounds);
}

static fanfare_status find_topic(const void *options, fanfare_text *name, fanfare_text *bounds) {
    return fanfare_topic_options_problem(options, name, bounds);
}

/* open(options) -> hub */
static napi_value hub_open(napi_env env, napi_callback_info info) {
    napi_value args[1], result = NULL;
    fanfare_hub *hub = NULL;
    memory memory;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_options options = fanfare_options_defaults();
    if (struct_read(env, &memory, args[0], &HUB_SPEC, &options)) {
        fanfare_status code = fanfare_hub_new(&options, &hub);
        if (code == FANFARE_OK) {
            result = object_make(env, OBJECT_HUB, hub);
        } else if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_hub);
        } else {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return result;
}

static fanfare_status close_run(job *job) {
    return fanfare_hub_close(job->hub->native);
}

/* close(hub) -> Promise. It may wait for the clients, which JavaScript's thread must not. */
static napi_value hub_close(napi_env env, napi_callback_info info) {
    napi_value args[1];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_new(env, args[0], true);
    if (!job) {
        return NULL;
    }
    job->hub->closing = true;
    job->run = close_run;
    return job_start(env, job);
}

/* closeAll(): closes all hubs of this thread, and waits for that. For the end of the process. */
static napi_value hub_close_all(napi_env env, napi_callback_info info) {
    (void)info;
    hubs_close(&instance_of(env)->hubs);
    return NULL;
}

static fanfare_status drain_run(job *job) {
    return fanfare_hub_drain(job->hub->native, job->options, job->result);
}

static napi_value drain_done(napi_env env, job *job) {
    napi_value result;
    const fanfare_drained *drained = job->result;
    CHECK(env, napi_create_object(env, &result));
    if (!set_number(env, result, "told", (double)drained->told) ||
        !set_number(env, result, "cut", (double)drained->cut)) {
        return NULL;
    }
    return result;
}

/* drain(hub, options) -> Promise of {told, cut} */
static napi_value hub_drain(napi_env env, napi_callback_info info) {
    napi_value args[2];
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    job *job = job_new(env, args[0], false);
    if (!job) {
        return NULL;
    }
    fanfare_drain_options *options = memory_take(env, &job->memory, sizeof(*options));
    fanfare_drained *drained = memory_take(env, &job->memory, sizeof(*drained));
    if (!options || !drained) {
        job_free(job);
        return NULL;
    }
    *options = fanfare_drain_options_defaults();
    *drained = fanfare_drained_empty();
    if (!struct_read(env, &job->memory, args[1], &DRAIN_SPEC, options)) {
        job_free(job);
        return NULL;
    }
    fanfare_text name, bounds;
    if (fanfare_drain_options_problem(options, &name, &bounds) == FANFARE_OK && name.data) {
        throw_problem(env, FANFARE_ERR_OPTIONS, options, find_drain);
        job_free(job);
        return NULL;
    }
    job->options = options;
    job->result = drained;
    job->run = drain_run;
    job->done = drain_done;
    return job_start(env, job);
}

static fanfare_status flush_run(job *job) {
    const uint64_t *timeout_ms = job->options;
    return fanfare_hub_flush(job->hub->native, *timeout_ms);
}

/* flush(hub, timeoutMs) -> Promise */
static napi_value hub_flush(napi_env env, napi_callback_info info) {
    napi_value args[2];
    uint32_t timeout_ms;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    CHECK(env, napi_get_value_uint32(env, args[1], &timeout_ms));
    job *job = job_new(env, args[0], false);
    if (!job) {
        return NULL;
    }
    uint64_t *given = memory_take(env, &job->memory, sizeof(*given));
    if (!given) {
        job_free(job);
        return NULL;
    }
    *given = timeout_ms;
    job->options = given;
    job->run = flush_run;
    return job_start(env, job);
}

/* setRule(hub, subscription, options) */
static napi_value hub_set_rule(napi_env env, napi_callback_info info) {
    napi_value args[3];
    memory memory;
    fanfare_text subscription;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub) {
        return NULL;
    }
    memory_init(&memory);
    fanfare_topic_options options = fanfare_topic_options_defaults();
    if (required_read(env, &memory, args[1], "subscription", &subscription) &&
        struct_read(env, &memory, args[2], &TOPIC_OPTIONS_SPEC, &options)) {
        fanfare_status code = fanfare_hub_set_rule(hub, subscription, &options);
        if (code == FANFARE_ERR_OPTIONS) {
            throw_problem(env, code, &options, find_topic);
        } else if (code != FANFARE_OK) {
            throw_code(env, code);
        }
    }
    memory_free(&memory);
    return NULL;
}

/* removeRule(hub, subscription) -> whether there was one */
static napi_value hub_remove_rule(napi_env env, napi_callback_info info) {
    napi_value args[2], result = NULL;
    memory memory;
    fanfare_text subscription;
    uint32_t removed = 0;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub) {
        return NULL;
    }
    memory_init(&memory);
    if (required_read(env, &memory, args[1], "subscription", &subscription)) {
        fanfare_status code = fanfare_hub_remove_rule(hub, subscription, &removed);
        if (code != FANFARE_OK) {
            throw_code(env, code);
        } else if (napi_get_boolean(env, removed != 0, &result) != napi_ok) {
            throw_last(env);
        }
    }
    memory_free(&memory);
    return result;
}

static bool set_unless_unset(napi_env env, napi_value object, const char *name, uint64_t number) {
    return number == FANFARE_UNSET || set_number(env, object, name, (double)number);
}

static napi_value rule_value(napi_env env, const fanfare_rule *rule) {
    napi_value value;
    CHECK(env, napi_create_object(env, &value));
    const char *policy = choice_name(POLICY_CHOICES, rule->policy);
    bool set = set_text(env, value, "subscription", rule->subscription) &&
               set_unless_unset(env, value, "historyEventsMax", rule->history_events_max) &&
               set_unless_unset(env, value, "historyBytesMax", rule->history_bytes_max) &&
               set_unless_unset(env, value, "historyAgeMaxMs", rule->history_age_max_ms) &&
               set_unless_unset(env, value, "finishedAgeMaxMs", rule->finished_age_max_ms) &&
               (!policy || set_string(env, value, "policy", policy)) &&
               set_number(env, value, "topics", (double)rule->topics) &&
               set_number(env, value, "finishedTopics", (double)rule->finished_topics) &&
               set_number(env, value, "keptEvents", (double)rule->kept_events) &&
               set_number(env, value, "keptBytes", (double)rule->kept_bytes);
    return set ? value : NULL;
}

static napi_value rules_value(napi_env env, const fanfare_rules *rules) {
    size_t count = fanfare_rules_count(rules);
    napi_value array;
    CHECK(env, napi_create_array_with_length(env, count, &array));
    for (size_t i = 0; i < count; i++) {
        fanfare_rule rule = fanfare_rule_empty();
        fanfare_status code = fanfare_rules_get(rules, i, &rule);
        if (code != FANFARE_OK) {
            return throw_code(env, code);
        }
        napi_value value = rule_value(env, &rule);
        if (!value) {
            return NULL;
        }
        CHECK(env, napi_set_element(env, array, (uint32_t)i, value));
    }
    return array;
}

/* rules(hub) -> an array of objects */
static napi_value hub_rules(napi_env env, napi_callback_info info) {
    napi_value args[1];
    fanfare_rules *rules = NULL;
    if (!args_of(env, info, COUNT_OF(args), args)) {
        return NULL;
    }
    fanfare_hub *hub = hub_of(env, args[0]);
    if (!hub) {
        return NULL;
    }
    fanfare_status code = fanfare_hub_rules(hub, &rules);
    if (code != FANFARE_OK) {
        return throw_code(env, code);
    }
    napi_value result = rules_value(env, rules);
    fanfare_rules_free(rules);
    return result;
}

const export HUB_EXPORTS[] = {
    {"open", hub_open},
    {"close", hub_close},
    {"closeAll", hub_close_all},
    {"drain", hub_drain},
    {"flush", hub_flush},
    {"setRule", hub_set_rule},
    {"removeRule", hub_remove_rule},
    {"rules", hub_rules},
    {NULL, NULL},
};
