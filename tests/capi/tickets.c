/* Tokens and tickets: keys, what they grant, and the listener that asks for them. */

#include "check.h"
#include "http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECRET "a secret of at least 32 bytes, from a random source"

/* In some seconds, whole seconds since 1970, as tokens count them. */
static uint64_t in_ms(int seconds)
{
    return (uint64_t)(time(NULL) + seconds) * 1000;
}

static fanfare_tokens *tokens_new(const char *secret)
{
    fanfare_key key = fanfare_key_of(FANFARE_KEY_FILE, fanfare_text_of_string(secret));
    fanfare_tokens *tokens = NULL;

    CHECK_EQ(fanfare_tokens_new(&key, 1, NULL, &tokens), FANFARE_OK);
    CHECK(tokens != NULL);
    return tokens;
}

static fanfare_tickets *tickets_new(void)
{
    fanfare_tickets *tickets = NULL;

    CHECK_EQ(fanfare_tickets_new(NULL, &tickets), FANFARE_OK);
    CHECK(tickets != NULL);
    return tickets;
}

/* Writes a token for a topic, with a NUL behind it. */
static void sign(const char *secret, const char *topic, int seconds, char *token, size_t size)
{
    fanfare_signing_key *key = NULL;
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    size_t length = 0;

    topics[0] = fanfare_text_of_string(topic);
    grant.expires_at_unix_ms = in_ms(seconds);
    grant.tag = FANFARE_TEXT("user 7");
    grant.policy = FANFARE_POLICY_CONFLATE;
    CHECK_EQ(fanfare_signing_key_new(fanfare_text_of_string(secret), &key), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_sign(key, &grant, NULL, token, size - 1, &length), FANFARE_OK);
    token[length] = '\0';
    fanfare_signing_key_free(key);
}

static void tickets(void)
{
    fanfare_ticket_options options = fanfare_ticket_options_defaults();
    fanfare_tickets *tickets = NULL;
    fanfare_text topics[1] = {{NULL, 0}}, name, bounds;
    fanfare_grant grant = fanfare_grant_of(topics, 1), given = grant;
    fanfare_granted *first = NULL, *second = NULL;
    fanfare_ticket ticket, other;
    const fanfare_header header = fanfare_header_of(FANFARE_TEXT("X-Plan"), FANFARE_TEXT("free"));
    uint32_t is_current = 7;
    size_t i;

    topics[0] = FANFARE_TEXT("t");
    CHECK_EQ(options.tickets_max, 65536);
    CHECK_EQ(options.first_use_time_max_ms, 60000);
    options.tickets_max = 1;
    CHECK_EQ(fanfare_tickets_new(&options, &tickets), FANFARE_OK);
    memset(&ticket, 0x5a, sizeof ticket);
    other = ticket;
    CHECK_EQ(fanfare_tickets_issue(tickets, &grant, &ticket), FANFARE_ERR_GRANT);
    grant.expires_at_unix_ms = 1000;
    CHECK_EQ(fanfare_tickets_issue(tickets, &grant, &ticket), FANFARE_ERR_GRANT);
    grant.expires_at_unix_ms = in_ms(300);
    CHECK_EQ(fanfare_tickets_issue(NULL, &grant, &ticket), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_issue(tickets, NULL, &ticket), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_issue(tickets, &grant, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(memcmp(&ticket, &other, sizeof ticket) == 0);
    grant.headers = &header;
    grant.headers_count = 1;
    grant.start = FANFARE_START_LAST;
    grant.start_last = 3;
    CHECK_EQ(fanfare_tickets_issue(tickets, &grant, &ticket), FANFARE_OK);
    CHECK_EQ(fanfare_tickets_issue(tickets, &grant, &other), FANFARE_ERR_LIMIT);
    CHECK_EQ(ticket.length, 43);
    for (i = ticket.length; i < sizeof ticket.text; i++) {
        CHECK_EQ(ticket.text[i], 0);
    }

    CHECK_EQ(fanfare_tickets_redeem(tickets, FANFARE_TEXT("x"), 0, &first), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tickets_redeem(tickets, FANFARE_TEXT("\xff"), 0, &first), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_text_of(ticket.text, 64), 0, &first),
             FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tickets_redeem(NULL, fanfare_ticket_text(&ticket), 0, &first),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_ticket_text(&ticket), 2, &first),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_ticket_text(&ticket), 0, NULL),
             FANFARE_ERR_ARGUMENT);
    CHECK(first == NULL);
    CHECK_EQ(fanfare_tickets_look_up(tickets, FANFARE_TEXT("x"), 0, &first), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tickets_look_up(NULL, fanfare_ticket_text(&ticket), 0, &first),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_look_up(tickets, fanfare_ticket_text(&ticket), 2, &first),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_look_up(tickets, fanfare_ticket_text(&ticket), 0, NULL),
             FANFARE_ERR_ARGUMENT);
    /* To look it up, twice, uses nothing up. */
    for (i = 0; i < 2; i++) {
        CHECK_EQ(fanfare_tickets_look_up(tickets, fanfare_ticket_text(&ticket), 0, &second), FANFARE_OK);
        CHECK_EQ(fanfare_granted_grant(second, &given), FANFARE_OK);
        CHECK(given.topics_count == 1 && text_is(given.topics[0], "t"));
        if (i == 0) {
            fanfare_granted_free(second);
        }
    }
    CHECK(first == NULL);
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_ticket_text(&ticket), 0, &first), FANFARE_OK);
    fanfare_granted_free(second);
    second = NULL;
    CHECK_EQ(fanfare_tickets_look_up(tickets, fanfare_ticket_text(&ticket), 0, &second), FANFARE_ERR_BUSY);
    CHECK_EQ(fanfare_tickets_look_up(tickets, fanfare_ticket_text(&ticket), 1, &second), FANFARE_OK);
    fanfare_granted_free(second);
    CHECK_EQ(fanfare_granted_is_current(first, &is_current), FANFARE_OK);
    CHECK_EQ(is_current, 1);
    second = NULL;
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_ticket_text(&ticket), 0, &second),
             FANFARE_ERR_BUSY);
    CHECK_EQ(fanfare_granted_grant(first, &given), FANFARE_OK);
    CHECK(given.topics_count == 1 && text_is(given.topics[0], "t"));
    CHECK(given.headers_count == 1 && text_is(given.headers[0].name, "X-Plan")
          && text_is(given.headers[0].value, "free"));
    CHECK(given.start == FANFARE_START_LAST && given.start_last == 3);
    /* The client comes back before its first connection has ended. */
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_ticket_text(&ticket), 1, &second), FANFARE_OK);
    CHECK_EQ(fanfare_granted_is_current(first, &is_current), FANFARE_OK);
    CHECK_EQ(is_current, 0);
    CHECK_EQ(fanfare_granted_is_current(second, &is_current), FANFARE_OK);
    CHECK_EQ(is_current, 1);
    fanfare_granted_free(first);
    fanfare_granted_free(second);
    CHECK_EQ(fanfare_tickets_redeem(tickets, fanfare_ticket_text(&ticket), 0, &first), FANFARE_OK);
    fanfare_tickets_free(tickets);
    fanfare_granted_free(first);
    fanfare_tickets_free(NULL);

    tickets = NULL;
    options.tickets_max = 0;
    CHECK_EQ(fanfare_tickets_new(&options, &tickets), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_ticket_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "tickets_max") && bounds.length > 0);
    options = fanfare_ticket_options_defaults();
    CHECK_EQ(fanfare_ticket_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    options.first_use_time_max_ms = 999;
    CHECK_EQ(fanfare_ticket_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "first_use_time_max_ms"));
    CHECK_EQ(fanfare_ticket_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    options.size = 1;
    CHECK_EQ(fanfare_ticket_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_ticket_options_init(&options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_ticket_options_init(NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_new(&options, &tickets), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tickets_new(NULL, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(tickets == NULL);
}

/* A listener that asks for tokens and tickets, over all of a client's way. */
static void authorized(void)
{
    fanfare_hub *hub = hub_new();
    fanfare_tokens *tokens = tokens_new(SECRET);
    fanfare_tickets *tickets = tickets_new();
    fanfare_access_options access = fanfare_access_options_defaults();
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_key next = fanfare_key_of(FANFARE_KEY_FILE,
                                      FANFARE_TEXT("another secret, of at least 32 bytes as well"));
    fanfare_authorizer *authorizer = NULL;
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    fanfare_event event = event_of("for user 7");
    fanfare_ticket ticket;
    char token[2000], fields[3000], target[300];
    uint16_t port = 0;
    http *answer, *stream;

    access.exchange_path = FANFARE_TEXT("/login/ticket");
    CHECK_EQ(fanfare_authorizer_new_tickets(tokens, tickets, &access, &authorizer), FANFARE_OK);
    options.authorizer = authorizer;
    CHECK_EQ(fanfare_hub_listen(hub, FANFARE_TEXT("127.0.0.1:0"), &options, NULL, &port), FANFARE_OK);
    fanfare_authorizer_free(authorizer);

    answer = http_get(port, "/events?topic=user/7/mail", "");
    CHECK_EQ(http_status(answer), 401);
    http_free(answer);
    sign(SECRET, "user/7/#", 300, token, sizeof token);
    snprintf(fields, sizeof fields, "Authorization: Bearer %s\r\n", token);
    answer = http_get(port, "/events?topic=user/8/mail", fields);
    CHECK_EQ(http_status(answer), 403);
    http_free(answer);
    stream = http_get(port, "/events?topic=user/7/mail", fields);
    CHECK_EQ(http_status(stream), 200);
    CHECK_EQ(publish(hub, "user/7/mail", &event), FANFARE_OK);
    http_expect(stream, "data: for user 7\n");

    /* A ticket for the token, and one of the program's. */
    answer = http_send(port, "POST", "/login/ticket", fields, "");
    CHECK_EQ(http_status(answer), 200);
    http_expect(answer, "\"ticket\":\"");
    http_free(answer);
    topics[0] = FANFARE_TEXT("news");
    grant.expires_at_unix_ms = in_ms(300);
    CHECK_EQ(fanfare_tickets_issue(tickets, &grant, &ticket), FANFARE_OK);
    snprintf(target, sizeof target, "/events?topic=news&ticket=%.*s", (int)ticket.length,
             ticket.text);
    answer = http_get(port, target, "");
    CHECK_EQ(http_status(answer), 200);
    CHECK_EQ(publish(hub, "news", &event), FANFARE_OK);
    http_expect(answer, "data: for user 7\n");
    http_free(answer);

    /* Keys that are set later hold for listeners that are there, and streams stay. */
    CHECK_EQ(fanfare_tokens_set_keys(tokens, &next, 1), FANFARE_OK);
    answer = http_get(port, "/events?topic=user/7/mail", fields);
    CHECK_EQ(http_status(answer), 401);
    http_free(answer);
    CHECK_EQ(publish(hub, "user/7/mail", &event), FANFARE_OK);
    http_expect(stream, "data: for user 7\n");
    http_free(stream);
    fanfare_tokens_free(tokens);
    fanfare_tickets_free(tickets);
    fanfare_hub_free(hub);
}

static void wrong_authorizers(void)
{
    fanfare_tokens *tokens = tokens_new(SECRET);
    fanfare_tickets *tickets = tickets_new();
    fanfare_access_options access = fanfare_access_options_defaults();
    fanfare_authorizer *authorizer = NULL;
    fanfare_text texts[1], name, bounds;

    texts[0] = FANFARE_TEXT("https://example.com/path");
    CHECK_EQ(fanfare_authorizer_new_tickets(NULL, tickets, NULL, &authorizer), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_new_tickets(tokens, NULL, NULL, &authorizer), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_new_tickets(tokens, tickets, NULL, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_access_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_access_options_problem(&access, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    access.cookie = FANFARE_TEXT("a b");
    CHECK_EQ(fanfare_access_options_problem(&access, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "cookie"));
    access = fanfare_access_options_defaults();
    access.cookie_origins = texts;
    access.cookie_origins_count = 1;
    CHECK_EQ(fanfare_authorizer_new_tickets(tokens, tickets, &access, &authorizer),
             FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_access_options_problem(&access, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "cookie_origins"));
    access = fanfare_access_options_defaults();
    access.exchange_path = FANFARE_TEXT("tickets");
    CHECK_EQ(fanfare_access_options_problem(&access, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "exchange_path"));
    access.size = 1;
    CHECK_EQ(fanfare_authorizer_new_tickets(tokens, tickets, &access, &authorizer),
             FANFARE_ERR_ARGUMENT);
    CHECK(authorizer == NULL);
    fanfare_authorizer_free(NULL);
    fanfare_tokens_free(tokens);
    fanfare_tickets_free(tickets);
}

static void in_child_of_fork(void)
{
    fanfare_tokens *tokens = tokens_new(SECRET);
    fanfare_tickets *tickets = tickets_new();
    fanfare_signing_key *key = NULL;
    char token[2000];
    int status = 0;
    pid_t child;

    CHECK_EQ(fanfare_signing_key_new(FANFARE_TEXT(SECRET), &key), FANFARE_OK);
    sign(SECRET, "t", 300, token, sizeof token);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fanfare_key next = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT(SECRET));
        fanfare_text topics[1] = {{NULL, 0}};
        fanfare_grant grant = fanfare_grant_of(topics, 1);
        fanfare_granted *granted = NULL;
        fanfare_authorizer *authorizer = NULL;
        fanfare_ticket ticket;
        size_t length;
        topics[0] = FANFARE_TEXT("t");
        grant.expires_at_unix_ms = in_ms(300);
        CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(token), &granted),
                 FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_tokens_set_keys(tokens, &next, 1), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_tickets_issue(tickets, &grant, &ticket), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_tickets_redeem(tickets, FANFARE_TEXT("x"), 0, &granted),
                 FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_authorizer_new_tickets(tokens, tickets, NULL, &authorizer),
                 FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_signing_key_sign(key, &grant, NULL, token, sizeof token, &length),
                 FANFARE_ERR_FORKED);
        fanfare_tickets_free(tickets);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    fanfare_signing_key_free(key);
    fanfare_tokens_free(tokens);
    fanfare_tickets_free(tickets);
}

#define THREADS 8

static struct {
    fanfare_tokens *tokens;
    fanfare_tickets *tickets;
} shared;

static void *use_all(void *argument)
{
    char token[2000];
    int i;

    sign(SECRET, "t", 300, token, sizeof token);
    for (i = 0; i < 50; i++) {
        fanfare_key key = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT(SECRET));
        fanfare_granted *granted = NULL;
        fanfare_grant grant = fanfare_grant_of(NULL, 0);
        fanfare_ticket ticket;

        CHECK_EQ(fanfare_tokens_verify(shared.tokens, fanfare_text_of_string(token), &granted),
                 FANFARE_OK);
        CHECK_EQ(fanfare_granted_grant(granted, &grant), FANFARE_OK);
        CHECK_EQ(fanfare_tickets_issue(shared.tickets, &grant, &ticket), FANFARE_OK);
        fanfare_granted_free(granted);
        CHECK_EQ(fanfare_tickets_redeem(shared.tickets, fanfare_ticket_text(&ticket), 0, &granted),
                 FANFARE_OK);
        fanfare_granted_free(granted);
        CHECK_EQ(fanfare_tokens_set_keys(shared.tokens, &key, 1), FANFARE_OK);
    }
    return argument;
}

static void many_threads(void)
{
    pthread_t threads[THREADS];
    int i;

    shared.tokens = tokens_new(SECRET);
    shared.tickets = tickets_new();
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, use_all, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    fanfare_tokens_free(shared.tokens);
    fanfare_tickets_free(shared.tickets);
}

const test tests_of_tickets[] = {
    {"a ticket is for one stream at a time, whose client may come back", tickets},
    {"a listener gives clients the streams that their tokens and tickets are for", authorized},
    {"an authorizer with a wrong option is refused, and the option named", wrong_authorizers},
    {"in the child of a fork tokens and tickets are refused", in_child_of_fork},
    {"threads check tokens, use tickets and replace keys at once", many_threads},
    {NULL, NULL},
};
