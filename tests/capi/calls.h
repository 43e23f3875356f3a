/* Every function of the header, each as a call that is right, for tests of what holds for all of them.
 * tests/header.rs makes sure that none is missing. */

#ifndef CALLS_H
#define CALLS_H

#include <fanfare.h>

/* What the calls are made with. */
typedef struct {
    fanfare_hub *hub;
    fanfare_topic *topic, *finished;
    fanfare_notices *notices;
    fanfare_stream *stream;
    fanfare_listener listener;
    /* Lists: of the stream's connection, of its topic, of one rule. */
    fanfare_connections *connections;
    fanfare_subscription_counts *counts;
    fanfare_rules *rules;
    fanfare_connection_id connection;
    fanfare_signing_key *key;
    fanfare_tokens *tokens;
    fanfare_tickets *tickets;
    fanfare_granted *granted;
    fanfare_authorizer *authorizer, *asking;
    fanfare_fallback *fallback;
    char token[1024];
    size_t token_length;
} objects;

enum {
    /* What it does is over for good: closing. */
    CALL_ENDS = 1,
    /* The header allows it to one thread at a time. */
    CALL_ALONE = 2,
    /* It adds something that stays until the hub is freed. */
    CALL_KEEPS = 4,
    /* It takes locks of the C library's: no child but that of a whole `fork` may call it. */
    CALL_ALLOCATES = 8,
    /* There is nothing that its id names: FANFARE_ERR_STALE is what it returns. */
    CALL_STALE = 16,
    /* It returns a text or a number and no status, and nothing in it could panic. */
    CALL_PLAIN = 32
};

typedef struct {
    const char *function;
    fanfare_status (*call)(const objects *of);
    /* The same in the child of a fork, if it differs; and what it returns there. */
    fanfare_status (*call_in_child)(const objects *of);
    fanfare_status in_child;
    int flags;
} call;

/* The same in the child of a fork, for the rows of the tables. */
#define FORKED NULL, FANFARE_ERR_FORKED
#define AS_EVER NULL, FANFARE_OK
#define CALLS_END {NULL, NULL, NULL, FANFARE_OK, 0}

/* A table for each subject. */
extern const call calls_of_values[], calls_of_hub[], calls_of_streams[], calls_of_tokens[];

/* The rows of all tables, from 0; NULL after the last. It takes no lock, and may be called in any child. */
const call *call_at(size_t number);
size_t calls_count(void);

/* What a child of a fork frees is the parent's: it stays as it is there, however often it is freed. */
#define FREE_TWICE(type, object) \
    static fanfare_status type##_free(const objects *of) \
    { \
        fanfare_##type##_free(of->object); \
        fanfare_##type##_free(of->object); \
        return FANFARE_OK; \
    }

#define OBJECTS_SECRET FANFARE_TEXT("a secret of at least 32 bytes, from a random source")

/* The key of the tokens, and what they grant. */
fanfare_key objects_key(void);
fanfare_grant objects_grant(void);

/* Makes objects, with a hub of two shards. */
void objects_new(objects *made);
void objects_free(objects *of);

#endif
