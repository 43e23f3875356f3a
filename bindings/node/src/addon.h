/* What the files of the addon share: convert, call, convert. lib/ is its only caller.
 *
 * All of it runs on the thread of JavaScript that has loaded the addon, but for jobs (job.c), the
 * doorbell's thread (bell.c), and hubs that are freed without having been closed (object.c).
 */

#ifndef ADDON_H
#define ADDON_H

#include <fanfare.h>
#include <node_api.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Makes a function return NULL when Node-API refuses something; an exception is then pending. */
#define CHECK(env, call)                                                                           \
    do {                                                                                           \
        if ((call) != napi_ok) {                                                                   \
            throw_last(env);                                                                       \
            return NULL;                                                                           \
        }                                                                                          \
    } while (0)

/* The same in a function that returns whether it has succeeded. */
#define TRY(env, call)                                                                             \
    do {                                                                                           \
        if ((call) != napi_ok) {                                                                   \
            throw_last(env);                                                                       \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

/* The most arguments that a function of the addon takes. */
#define ARGS_MAX 10

/* ---- errors.c ---- */

const char *code_name(fanfare_status code);
/* Returns a new Error, or NULL with an exception pending. */
napi_value error_of(napi_env env, fanfare_status code, const char *message);
/* Each of these throws, and returns NULL. */
napi_value throw_code(napi_env env, fanfare_status code);
napi_value throw_text(napi_env env, fanfare_status code, fanfare_text text);
napi_value throw_type(napi_env env, const char *format, const char *what);
napi_value throw_last(napi_env env);
napi_value throw_option(napi_env env, fanfare_status code, const char *name, fanfare_text bounds);

typedef fanfare_status (*problem_finder)(const void *options, fanfare_text *name,
                                         fanfare_text *bounds);
/* Throws for options, a grant or a refusal that the library has refused with `code`. */
napi_value throw_problem(napi_env env, fanfare_status code, const void *options,
                         problem_finder find);

/* ---- memory.c: what lives as long as one call or job ---- */

typedef struct block block;

typedef struct {
    block *blocks;
    size_t used;
    _Alignas(16) char first[512];
} memory;

void memory_init(memory *given);
/* Returns zeroed memory, or NULL with an exception pending. */
void *memory_take(napi_env env, memory *given, size_t size);
void memory_free(memory *given);

/* ---- convert.c: from JavaScript; each returns false, or NULL, with an exception pending ---- */

napi_value args_of(napi_env env, napi_callback_info info, size_t count, napi_value *args);
bool is_absent(napi_env env, napi_value value, bool *absent);
bool number_read(napi_env env, napi_value value, const char *what, double max, bool *is_whole,
                 uint64_t *out);
bool flag_read(napi_env env, napi_value value, const char *what, uint64_t *out);
bool id_read(napi_env env, napi_value value, const char *what, uint64_t *out);
/* An int; what is none is -1, which is no descriptor. */
bool fd_read(napi_env env, napi_value value, const char *what, int *out);
/* A copy of a string, or of a Uint8Array where bytes are allowed. undefined is no text. */
bool text_read(napi_env env, memory *given, napi_value value, const char *what, bool bytes,
               fanfare_text *out);
/* A copy of a string that has to be there. */
bool required_read(napi_env env, memory *given, napi_value value, const char *what,
                   fanfare_text *out);
/* A string, or an array of strings, as an array that is not NULL. */
bool texts_read(napi_env env, memory *given, napi_value value, const char *what,
                const fanfare_text **out, size_t *count);
/* An object of strings, or an array of pairs of them. */
bool headers_read(napi_env env, memory *given, napi_value value, const char *what,
                  const fanfare_header **out, size_t *count);

/* The largest whole number that JavaScript's numbers have without gaps. */
#define SAFE_INTEGER_MAX 9007199254740991.0

/* ---- fields.c, specs.c: structs of the ABI from objects ---- */

typedef enum {
    FIELD_U64,
    FIELD_U32,
    FIELD_FLAG,
    FIELD_TEXT,
    FIELD_TEXTS,
    FIELD_HEADERS,
    FIELD_CHOICE,
    FIELD_CHOICES, /* A set of bits. */
    FIELD_START,
    FIELD_MOMENT,
    FIELD_ROUTES,
    FIELD_AUTHORIZER,
    FIELD_FALLBACK,
} field_kind;

typedef struct {
    const char *name;
    uint32_t value;
} choice;

typedef struct {
    const char *name;
    field_kind kind;
    size_t offset;
    size_t beside; /* Where the count of a list is, or the number of FANFARE_START_LAST. */
    const choice *choices;
} field;

typedef struct {
    const char *what; /* Such as "Hub", for errors. */
    fanfare_status code;
    const field *fields;
    size_t count;
} spec;

extern const spec HUB_SPEC, LISTEN_SPEC, STREAM_SPEC, ADOPT_SPEC, TOPIC_OPTIONS_SPEC, DRAIN_SPEC,
    GRANT_SPEC, REFUSAL_SPEC, ASK_SPEC, TOKEN_SPEC, TICKET_SPEC, ACCESS_SPEC, CLAIMS_SPEC,
    CONNECTION_FILTER_SPEC, ROUTE_SPEC;
extern const choice POLICY_CHOICES[], HEARTBEAT_CHOICES[], ENVELOPE_CHOICES[];

/* What ADOPT_SPEC is of. */
typedef struct {
    fanfare_adopt_request request;
    fanfare_stream_options options;
} adopt_call;

/* Sets the fields that an object names; undefined is the default. */
bool struct_read(napi_env env, memory *given, napi_value object, const spec *spec, void *out);
const char *choice_name(const choice *choices, uint32_t value);

/* ---- result.c: to JavaScript ---- */

napi_value text_value(napi_env env, fanfare_text text); /* {NULL, 0} is undefined. */
napi_value texts_value(napi_env env, const fanfare_text *texts, size_t count);
napi_value headers_value(napi_env env, const fanfare_header *headers, size_t count);
napi_value bytes_value(napi_env env, fanfare_text bytes);
napi_value id_value(napi_env env, const fanfare_event_id *id);
bool set_value(napi_env env, napi_value object, const char *name, napi_value value);
bool set_text(napi_env env, napi_value object, const char *name, fanfare_text text);
bool set_string(napi_env env, napi_value object, const char *name, const char *string);
bool set_number(napi_env env, napi_value object, const char *name, double number);
bool set_id(napi_env env, napi_value object, const char *name, uint64_t id);
bool set_bool(napi_env env, napi_value object, const char *name, bool value);

/* ---- object.c: what JavaScript holds of the library, as externals with a type tag ---- */

typedef enum {
    OBJECT_HUB,
    OBJECT_TOPIC,
    OBJECT_STREAM,
    OBJECT_AUTHORIZER,
    OBJECT_FALLBACK,
    OBJECT_TOKENS,
    OBJECT_TICKETS,
    OBJECT_SIGNING_KEY,
    OBJECT_GRANTED,
} object_kind;

typedef struct object {
    object_kind kind;
    int refs;
    bool closing; /* Of a hub: close was called. Of others: they are freed. */
    void *native;
    struct object *next, *previous; /* The hubs of the instance. */
} object;

/* Gives what the library has made to a new external; it is freed when that is not made. */
napi_value object_make(napi_env env, object_kind kind, void *native);
/* Returns the object of an external of that kind, or NULL with an exception pending. */
object *object_of(napi_env env, napi_value value, object_kind kind);
/* The same, of one that is not closed. */
object *object_open(napi_env env, napi_value value, object_kind kind);
/* The hub of an external: open, or closed where what was counted is read. */
fanfare_hub *hub_of(napi_env env, napi_value value);
object *object_keep(object *given);
void object_drop(object *given);
/* Frees it now, before its external is collected. */
void object_close(object *given);
/* Closes all hubs of a ring, and takes them out of it. */
void hubs_close(object *hubs);

/* ---- job.c: calls that may block, on a thread of the pool ---- */

typedef struct job job;
struct job {
    memory memory;
    object *hub;
    fanfare_status status;
    fanfare_status (*run)(job *job);
    /* Makes the value of the promise; a NULL is a rejection with the exception that is pending. */
    napi_value (*done)(napi_env env, job *job);
    napi_value (*failed)(napi_env env, job *job); /* Throws; NULL: by the code. */
    uint64_t id, number, counted;
    fanfare_text text;
    const fanfare_text *texts;
    size_t texts_count;
    void *options;
    void *result;
    napi_async_work work;
    napi_deferred deferred;
};

/* Returns a job for the hub of an external, or NULL with an exception pending. */
job *job_new(napi_env env, napi_value hub, bool may_be_closed);
void job_free(job *given);
/* Starts it, and returns its promise; the job is gone. */
napi_value job_start(napi_env env, job *given);

/* ---- bell.c ---- */

typedef struct bell bell;

typedef struct instance {
    object hubs; /* The first of a ring. */
    bell *bell;
    pthread_t thread;
    struct instance *next;
} instance;

instance *instance_of(napi_env env);
/* The queue of notices, or NULL with an exception pending. */
fanfare_notices *notices_of(napi_env env);
void bell_stop(bell *given);

/* ---- the functions of each subject ---- */

typedef struct {
    const char *name;
    napi_callback call;
} export;

extern const export HUB_EXPORTS[], PUBLISH_EXPORTS[], LISTEN_EXPORTS[], STREAM_EXPORTS[],
    BELL_EXPORTS[], AUTHORIZE_EXPORTS[], TOKEN_EXPORTS[], ADMIN_EXPORTS[], COUNT_EXPORTS[];

#endif
