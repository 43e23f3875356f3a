#include "calls.h"

#include "check.h"

#include <string.h>

fanfare_key objects_key(void)
{
    return fanfare_key_of(FANFARE_KEY_FILE, OBJECTS_SECRET);
}

fanfare_grant objects_grant(void)
{
    static const fanfare_text topics[] = {{"t", 1}};
    fanfare_grant granted = fanfare_grant_of(topics, 1);

    granted.expires_at_unix_ms = UINT64_C(32503680000000); /* the year 3000 */
    return granted;
}

/* Lists the connection of the stream, which its shard may not have yet. */
static void list_connection(objects *of)
{
    fanfare_connection connection;
    int64_t deadline = now_ms() + DEADLINE_MS;

    memset(&connection, 0, sizeof connection);
    connection.size = sizeof connection;
    for (;;) {
        CHECK_EQ(fanfare_hub_connections(of->hub, NULL, &of->connections), FANFARE_OK);
        if (fanfare_connections_count(of->connections) > 0) {
            break;
        }
        fanfare_connections_free(of->connections);
        CHECK(now_ms() < deadline);
    }
    CHECK_EQ(fanfare_connections_get(of->connections, 0, &connection), FANFARE_OK);
    of->connection = connection.id;
}

void objects_new(objects *made)
{
    const fanfare_text topic = FANFARE_TEXT("t");
    const fanfare_key keys = objects_key();
    fanfare_grant granted = objects_grant();
    fanfare_topic_options rule = fanfare_topic_options_defaults();

    made->hub = hub_new();
    CHECK_EQ(fanfare_topic_new(topic, &made->topic), FANFARE_OK);
    CHECK_EQ(fanfare_topic_new(FANFARE_TEXT("finished"), &made->finished), FANFARE_OK);
    CHECK_EQ(fanfare_notices_new(&made->notices), FANFARE_OK);
    CHECK_EQ(fanfare_hub_subscribe(made->hub, &topic, 1, NULL, &made->stream), FANFARE_OK);
    CHECK_EQ(fanfare_hub_listen(made->hub, FANFARE_TEXT("127.0.0.1:0"), NULL, &made->listener, NULL),
             FANFARE_OK);
    list_connection(made);
    CHECK_EQ(fanfare_hub_subscription_counts(made->hub, 1, &made->counts), FANFARE_OK);
    CHECK_EQ(fanfare_hub_set_rule(made->hub, topic, &rule), FANFARE_OK);
    CHECK_EQ(fanfare_hub_rules(made->hub, &made->rules), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_new(OBJECTS_SECRET, &made->key), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_sign(made->key, &granted, NULL, made->token, sizeof made->token,
                                      &made->token_length), FANFARE_OK);
    CHECK_EQ(fanfare_tokens_new(&keys, 1, NULL, &made->tokens), FANFARE_OK);
    CHECK_EQ(fanfare_tickets_new(NULL, &made->tickets), FANFARE_OK);
    CHECK_EQ(fanfare_tokens_verify(made->tokens,
                                   fanfare_text_of(made->token, made->token_length),
                                   &made->granted), FANFARE_OK);
    CHECK_EQ(fanfare_authorizer_new_tickets(made->tokens, made->tickets, NULL, &made->authorizer),
             FANFARE_OK);
    CHECK_EQ(fanfare_authorizer_new_ask(made->notices, 3, NULL, &made->asking), FANFARE_OK);
    CHECK_EQ(fanfare_fallback_new(made->notices, 5, 10, &made->fallback), FANFARE_OK);
}

void objects_free(objects *of)
{
    fanfare_stream_free(of->stream);
    fanfare_hub_free(of->hub);
    fanfare_topic_free(of->topic);
    fanfare_topic_free(of->finished);
    fanfare_notices_free(of->notices);
    fanfare_connections_free(of->connections);
    fanfare_subscription_counts_free(of->counts);
    fanfare_rules_free(of->rules);
    fanfare_signing_key_free(of->key);
    fanfare_tokens_free(of->tokens);
    fanfare_tickets_free(of->tickets);
    fanfare_granted_free(of->granted);
    fanfare_authorizer_free(of->authorizer);
    fanfare_authorizer_free(of->asking);
    fanfare_fallback_free(of->fallback);
}

/* What a call ends is not needed by those after it. */
static const call *const tables[] = {calls_of_values, calls_of_tokens, calls_of_hub, calls_of_streams};

const call *call_at(size_t number)
{
    size_t table, row;

    for (table = 0; table < sizeof tables / sizeof tables[0]; table++) {
        for (row = 0; tables[table][row].function != NULL; row++) {
            if (number-- == 0) {
                return &tables[table][row];
            }
        }
    }
    return NULL;
}

size_t calls_count(void)
{
    size_t count = 0;

    while (call_at(count) != NULL) {
        count++;
    }
    return count;
}
