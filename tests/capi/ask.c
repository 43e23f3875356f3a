/* Requests for streams that the program is asked about. */

#include "check.h"
#include "http.h"
#include "watched.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A hub whose listener asks. */
typedef struct {
    fanfare_hub *hub;
    fanfare_notices *notices;
    fanfare_authorizer *authorizer;
    uint16_t port;
} asking;

static asking asking_new(const fanfare_ask_options *ask)
{
    fanfare_listen_options options = fanfare_listen_options_defaults();
    fanfare_route routes[1];
    asking new;

    memset(&new, 0, sizeof new);
    new.hub = hub_new();
    new.notices = notices_new();
    CHECK_EQ(fanfare_authorizer_new_ask(new.notices, TOKEN, ask, &new.authorizer), FANFARE_OK);
    routes[0] = fanfare_route_of(FANFARE_TEXT("/post"));
    routes[0].post = 1;
    options.routes = routes;
    options.routes_count = 1;
    options.authorizer = new.authorizer;
    CHECK_EQ(fanfare_hub_listen(new.hub, FANFARE_TEXT("127.0.0.1:0"), &options, NULL, &new.port),
             FANFARE_OK);
    return new;
}

static void asking_free(asking *asking)
{
    fanfare_hub_free(asking->hub);
    fanfare_authorizer_free(asking->authorizer);
    fanfare_notices_free(asking->notices);
}

/* Waits for a request. */
static fanfare_notice next_request(const asking *asking)
{
    fanfare_notice notice = notices_next(asking->notices);

    CHECK_EQ(notice.kind, FANFARE_NOTICE_AUTHORIZATION);
    CHECK(notice.token == TOKEN);
    CHECK(notice.id != 0 && notice.request != NULL);
    CHECK_EQ(notice.request->size, sizeof *notice.request);
    return notice;
}

/* The value of a request's header field, by its name in small letters. */
static fanfare_text field_of(const fanfare_request *request, const char *name)
{
    size_t i;

    for (i = 0; i < request->headers_count; i++) {
        fanfare_text field = request->headers[i].name;
        size_t j = 0;
        while (j < field.length && name[j] != '\0'
               && (field.data[j] | 0x20) == (name[j] | 0x20)) {
            j++;
        }
        if (j == field.length && name[j] == '\0') {
            return request->headers[i].value;
        }
    }
    return fanfare_text_of(NULL, 0);
}

static void allowed(void)
{
    asking asking = asking_new(NULL);
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_header headers[1];
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    fanfare_event event = event_of("hello");
    fanfare_notice notice;
    http *client;

    topics[0] = FANFARE_TEXT("user/7/#");
    headers[0] = fanfare_header_of(FANFARE_TEXT("X-Plan"), FANFARE_TEXT("free"));
    grant.headers = headers;
    grant.headers_count = 1;
    grant.tag = FANFARE_TEXT("user 7");
    grant.policy = FANFARE_POLICY_DROP_OLDEST;
    client = http_ask(asking.port, "/events?topic=user/7/mail&x=%2F",
                      "Authorization: Bearer secret\r\nLast-Event-ID: abc\r\n");
    notice = next_request(&asking);
    CHECK(text_is(notice.request->method, "GET"));
    CHECK(text_is(notice.request->path, "/events"));
    CHECK(text_is(notice.request->query, "topic=user/7/mail&x=%2F"));
    CHECK(text_is(field_of(notice.request, "authorization"), "Bearer secret"));
    CHECK(text_is(field_of(notice.request, "cookie"), NULL));
    CHECK(text_is(notice.request->content, ""));
    CHECK(text_is(notice.request->last_event_id, "abc"));
    CHECK(notice.addr.length > 10 && memcmp(notice.addr.data, "127.0.0.1:", 10) == 0);
    CHECK_EQ(notice.subscriptions_count, 1);
    CHECK(text_is(notice.subscriptions[0], "user/7/mail"));
    CHECK(notice.at_unix_ms > 0);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    CHECK_TEXT(http_header(client, "x-plan"), "free");
    CHECK_EQ(publish(asking.hub, "user/7/mail", &event), FANFARE_OK);
    http_expect(client, "data: hello\n");
    http_free(client);

    /* One that names no topic has all that are granted. */
    client = http_ask(asking.port, "/events", "");
    notice = next_request(&asking);
    CHECK(text_is(notice.request->query, ""));
    CHECK(text_is(notice.request->last_event_id, NULL));
    CHECK(notice.subscriptions == NULL && notice.subscriptions_count == 0);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_OK);
    http_await(client);
    CHECK_EQ(publish(asking.hub, "user/7/a/b", &event), FANFARE_OK);
    http_expect(client, "data: hello\n");
    http_free(client);

    /* And one that names another topic has none. */
    client = http_ask(asking.port, "/events?topic=user/8", "");
    notice = next_request(&asking);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 403);
    http_free(client);
    asking_free(&asking);
}

static void *post(void *port)
{
    http *client = http_send(*(uint16_t *)port, "POST", "/post?topic=t", "", "{\"a\":1}");

    CHECK_EQ(http_status(client), 451);
    CHECK_TEXT(http_header(client, "retry-after"), "60");
    CHECK_TEXT(http_rest(client), "not here\n");
    http_free(client);
    return NULL;
}

static void refused(void)
{
    asking asking = asking_new(NULL);
    fanfare_refusal refusal = fanfare_refusal_of(451);
    fanfare_header headers[1];
    fanfare_notice notice;
    pthread_t thread;

    headers[0] = fanfare_header_of(FANFARE_TEXT("Retry-After"), FANFARE_TEXT("60"));
    refusal.headers = headers;
    refusal.headers_count = 1;
    refusal.text = FANFARE_TEXT("not here");
    CHECK(pthread_create(&thread, NULL, post, &asking.port) == 0);
    notice = next_request(&asking);
    CHECK(text_is(notice.request->method, "POST"));
    CHECK(text_is(notice.request->path, "/post"));
    CHECK(text_is(notice.request->content, "{\"a\":1}"));
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    asking_free(&asking);
}

static void stale(void)
{
    fanfare_ask_options ask = fanfare_ask_options_defaults();
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    fanfare_refusal refusal = fanfare_refusal_of(403);
    fanfare_notice notice;
    asking asking;
    http *client;

    topics[0] = FANFARE_TEXT("t");
    ask.timeout_ms = 100;
    asking = asking_new(&ask);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, 0, &grant), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, 1, &grant), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, UINT64_MAX, &refusal), FANFARE_ERR_STALE);
    /* Too late. */
    client = http_ask(asking.port, "/events?topic=t", "");
    notice = next_request(&asking);
    http_await(client);
    CHECK_EQ(http_status(client), 503);
    CHECK_TEXT(http_header(client, "retry-after"), "5");
    http_free(client);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_ERR_STALE);
    asking_free(&asking);

    /* Twice. */
    asking = asking_new(NULL);
    client = http_ask(asking.port, "/events?topic=t", "");
    notice = next_request(&asking);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_OK);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_ERR_STALE);
    http_await(client);
    CHECK_EQ(http_status(client), 403);
    http_free(client);
    /* With its hub. */
    client = http_ask(asking.port, "/events?topic=t", "");
    notice = next_request(&asking);
    fanfare_hub_free(asking.hub);
    asking.hub = NULL;
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_ERR_STALE);
    http_free(client);
    asking_free(&asking);
}

static void wrong_answers(void)
{
    asking asking = asking_new(NULL);
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    fanfare_refusal refusal = fanfare_refusal_of(200);
    fanfare_notice notice;
    http *client = http_ask(asking.port, "/events?topic=t", "");

    topics[0] = FANFARE_TEXT("t");
    notice = next_request(&asking);
    grant.tag = FANFARE_TEXT("");
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_ERR_GRANT);
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, NULL), FANFARE_ERR_ARGUMENT);
    grant.size = 1;
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_ERR_ARGUMENT);
    grant = fanfare_grant_of(topics, 1);
    CHECK_EQ(fanfare_authorizer_allow(NULL, notice.id, &grant), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_ERR_GRANT);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, NULL), FANFARE_ERR_ARGUMENT);
    refusal = fanfare_refusal_of(403);
    CHECK_EQ(fanfare_authorizer_refuse(NULL, notice.id, &refusal), FANFARE_ERR_ARGUMENT);
    /* After all of that it still waits. */
    CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    http_free(client);
    asking_free(&asking);
}

static void too_many(void)
{
    fanfare_ask_options ask = fanfare_ask_options_defaults();
    fanfare_refusal refusal = fanfare_refusal_of(403);
    fanfare_notice notice;
    http *first, *second;
    asking asking;

    ask.waiting_max = 1;
    ask.timeout_ms = 4 * DEADLINE_MS;
    asking = asking_new(&ask);
    first = http_ask(asking.port, "/events?topic=t", "");
    notice = next_request(&asking);
    second = http_get(asking.port, "/events?topic=t", "");
    CHECK_EQ(http_status(second), 503);
    http_free(second);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_OK);
    http_await(first);
    CHECK_EQ(http_status(first), 403);
    http_free(first);
    asking_free(&asking);
}

static void given_up(void)
{
    asking asking = asking_new(NULL);
    fanfare_refusal refusal = fanfare_refusal_of(403);
    fanfare_notice notice;
    http *client = http_ask(asking.port, "/events?topic=t", "");

    /* A program sees by the status that it has to come again; an EventSource does not. */
    notice = next_request(&asking);
    CHECK_EQ(fanfare_authorizer_give_up(NULL, notice.id), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_give_up(asking.authorizer, notice.id + 1), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_authorizer_give_up(asking.authorizer, notice.id), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 503);
    CHECK(http_header(client, "retry-after") != NULL);
    http_free(client);
    CHECK_EQ(fanfare_authorizer_give_up(asking.authorizer, notice.id), FANFARE_ERR_STALE);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_ERR_STALE);

    client = http_ask(asking.port, "/events?topic=t", "Accept: text/event-stream\r\n");
    notice = next_request(&asking);
    CHECK_EQ(fanfare_authorizer_give_up(asking.authorizer, notice.id), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 200);
    http_expect(client, "retry: ");
    http_free(client);
    asking_free(&asking);
}

static void nobody_answers(void)
{
    fanfare_ask_options ask = fanfare_ask_options_defaults();
    fanfare_notice notice;
    asking asking;
    http *client;
    int way;

    ask.timeout_ms = 4 * DEADLINE_MS;
    for (way = 0; way < 4; way++) {
        asking = asking_new(&ask);
        client = http_ask(asking.port, "/events?topic=t", "");
        if (way == 0) {
            /* What waits is answered at once when the authorizer is freed. */
            next_request(&asking);
            fanfare_authorizer_free(asking.authorizer);
            asking.authorizer = NULL;
            notice = notices_next(asking.notices);
            CHECK_EQ(notice.kind, FANFARE_NOTICE_ENDED);
            CHECK(notice.token == TOKEN);
        } else if (way == 1) {
            notices_wait(asking.notices);
            CHECK_EQ(fanfare_notices_remove(asking.notices, TOKEN), FANFARE_OK);
        } else if (way == 2) {
            /* So it is when nobody drains the queue any more. */
            notices_wait(asking.notices);
            fanfare_authorizer_free(asking.authorizer);
            asking.authorizer = NULL;
        } else {
            notices_wait(asking.notices);
            fanfare_notices_free(asking.notices);
            asking.notices = NULL;
        }
        http_await(client);
        CHECK_EQ(http_status(client), 503);
        http_free(client);
        client = http_get(asking.port, "/events?topic=t", "");
        CHECK_EQ(http_status(client), 503);
        http_free(client);
        asking_free(&asking);
    }
}

static void options(void)
{
    fanfare_notices *notices = notices_new();
    fanfare_ask_options options, helped = fanfare_ask_options_defaults();
    fanfare_authorizer *authorizer = NULL;
    fanfare_text name, bounds;

    memset(&options, 0xff, sizeof options);
    options.size = sizeof options;
    CHECK_EQ(fanfare_ask_options_init(&options), FANFARE_OK);
    CHECK(memcmp(&options, &helped, sizeof options) == 0);
    CHECK_EQ(options.waiting_max, 1024);
    CHECK_EQ(options.timeout_ms, 5000);
    CHECK_EQ(fanfare_ask_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL && bounds.data == NULL);
    options.waiting_max = 65537;
    CHECK_EQ(fanfare_authorizer_new_ask(notices, 1, &options, &authorizer), FANFARE_ERR_OPTIONS);
    CHECK_EQ(fanfare_ask_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "waiting_max") && bounds.length > 0);
    options = helped;
    options.timeout_ms = UINT64_MAX;
    CHECK_EQ(fanfare_ask_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "timeout_ms"));
    options.size = 1;
    CHECK_EQ(fanfare_ask_options_init(&options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_ask_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_new_ask(notices, 1, &options, &authorizer), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_ask_options_init(NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_ask_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_new_ask(NULL, 1, NULL, &authorizer), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_authorizer_new_ask(notices, 1, NULL, NULL), FANFARE_ERR_ARGUMENT);
    CHECK(authorizer == NULL);
    fanfare_notices_free(notices);
}

#define CLIENTS 8
#define REQUESTS_EACH 20

static void *ask_often(void *port)
{
    int i;

    for (i = 0; i < REQUESTS_EACH; i++) {
        http *client = http_get(*(uint16_t *)port, "/events?topic=t", "");
        CHECK_EQ(http_status(client), 403);
        http_free(client);
    }
    return NULL;
}

typedef struct {
    const asking *asking;
    uint64_t id;
    unsigned answered;
} question;

/* Answers a request that another thread answers as well. */
static void *answer_once(void *argument)
{
    question *question = argument;
    fanfare_refusal refusal = fanfare_refusal_of(403);
    fanfare_status status
        = fanfare_authorizer_refuse(question->asking->authorizer, question->id, &refusal);

    CHECK(status == FANFARE_OK || status == FANFARE_ERR_STALE);
    question->answered = status == FANFARE_OK;
    return NULL;
}

static void many_threads(void)
{
    asking asking = asking_new(NULL);
    pthread_t clients[CLIENTS], other;
    int i;

    for (i = 0; i < CLIENTS; i++) {
        CHECK(pthread_create(&clients[i], NULL, ask_often, &asking.port) == 0);
    }
    for (i = 0; i < CLIENTS * REQUESTS_EACH; i++) {
        question both[2];
        both[0].asking = both[1].asking = &asking;
        both[0].id = both[1].id = next_request(&asking).id;
        CHECK(pthread_create(&other, NULL, answer_once, &both[1]) == 0);
        answer_once(&both[0]);
        CHECK(pthread_join(other, NULL) == 0);
        CHECK_EQ(both[0].answered + both[1].answered, 1);
    }
    for (i = 0; i < CLIENTS; i++) {
        CHECK(pthread_join(clients[i], NULL) == 0);
    }
    asking_free(&asking);
}

static void in_child_of_fork(void)
{
    asking asking = asking_new(NULL);
    fanfare_refusal refusal = fanfare_refusal_of(403);
    http *client = http_ask(asking.port, "/events?topic=t", "");
    fanfare_notice notice = next_request(&asking);
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fanfare_grant grant = fanfare_grant_of(NULL, 0);
        fanfare_authorizer *other = NULL;
        fanfare_listen_options options = fanfare_listen_options_defaults();
        fanfare_hub *own = hub_new();
        options.authorizer = asking.authorizer;
        CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal),
                 FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_authorizer_allow(asking.authorizer, notice.id, &grant), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_authorizer_new_ask(asking.notices, 1, NULL, &other), FANFARE_ERR_FORKED);
        CHECK_EQ(fanfare_hub_listen(own, FANFARE_TEXT("127.0.0.1:0"), &options, NULL, NULL),
                 FANFARE_ERR_FORKED);
        fanfare_authorizer_free(asking.authorizer);
        fanfare_hub_free(own);
        _exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK_EQ(fanfare_authorizer_refuse(asking.authorizer, notice.id, &refusal), FANFARE_OK);
    http_await(client);
    CHECK_EQ(http_status(client), 403);
    http_free(client);
    asking_free(&asking);
}

const test tests_of_ask[] = {
    {"a request comes as a notice with all that it says, and is allowed by its id", allowed},
    {"a request with content is refused with a status, header fields and a text", refused},
    {"an answer that is late, a second one, or to no request, is stale", stale},
    {"an answer that is wrong is refused, and the request still waits", wrong_answers},
    {"requests beyond the bound are answered without the program", too_many},
    {"a request that is given up has its client come again", given_up},
    {"requests that nobody can answer are answered 503 at once", nobody_answers},
    {"options of asking have defaults and bounds", options},
    {"of answers by several threads at once one counts", many_threads},
    {"in the child of a fork an authorizer is refused, and the parent's goes on", in_child_of_fork},
    {NULL, NULL},
};
