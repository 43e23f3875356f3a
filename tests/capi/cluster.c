/* Hubs that have one order of events, by a Redis server that each test starts. */

#include "check.h"
#include "client.h"
#include "watched.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static char folder[] = "/tmp/fanfare-capi-XXXXXX";
static char url[64];
static pid_t server;

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in addr;

    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_port = htons((uint16_t)port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in addr = loopback(0);
    socklen_t length = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)(void *)&addr, sizeof addr) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)(void *)&addr, &length) == 0);
    close(fd);
    return ntohs(addr.sin_port);
}

/* The process of the server, which ends with the test's. */
static void run_server(unsigned port)
{
    char text[16];
    int null = open("/dev/null", O_RDWR);

#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    snprintf(text, sizeof text, "%u", port);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    execlp("redis-server", "redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port",
           text, "--dir", folder, (char *)NULL);
    perror("redis-server cannot be run; tests/setup installs it");
    _exit(127);
}

static int answers(unsigned port)
{
    struct sockaddr_in addr = loopback(port);
    char answer[8] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int is_there;

    CHECK(fd >= 0);
    is_there = connect(fd, (struct sockaddr *)(void *)&addr, sizeof addr) == 0
               && write(fd, "PING\r\n", 6) == 6 && read(fd, answer, 7) == 7
               && memcmp(answer, "+PONG\r\n", 7) == 0;
    close(fd);
    return is_there;
}

/* Waits until the server answers. Returns 0 when its process has ended, since another one has got its port. */
static int is_up(unsigned port)
{
    const int64_t deadline = now_ms() + DEADLINE_MS;
    int status;

    while (waitpid(server, &status, WNOHANG) == 0) {
        if (answers(port)) {
            return 1;
        }
        CHECK(now_ms() < deadline);
        poll(NULL, 0, 10);
    }
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 127);
    return 0;
}

static void start_server(void)
{
    unsigned port, tries = 0;

    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    do {
        CHECK(tries++ < 5);
        port = free_port();
        server = fork();
        CHECK(server >= 0);
        if (server == 0) {
            run_server(port);
        }
    } while (!is_up(port));
    snprintf(url, sizeof url, "redis://127.0.0.1:%u/3", port);
}

static void end_server(void)
{
    CHECK(kill(server, SIGKILL) == 0);
    CHECK(waitpid(server, NULL, 0) == server);
    CHECK(rmdir(folder) == 0);
}

static fanfare_options options_of_cluster(void)
{
    fanfare_options options = options_new();

    options.cluster_url = fanfare_text_of_string(url);
    options.cluster_prefix = FANFARE_TEXT("capi");
    return options;
}

/* Waits until a hub has counted as many items; it counts them when its clients may have them already. */
static fanfare_metrics metrics_of_items(const fanfare_hub *hub, uint64_t items)
{
    const int64_t deadline = now_ms() + DEADLINE_MS;
    fanfare_metrics metrics = metrics_of(hub);

    while (metrics.cluster_items < items) {
        CHECK(now_ms() < deadline);
        poll(NULL, 0, 10);
        metrics = metrics_of(hub);
    }
    return metrics;
}

static void reaches_the_clients_of_all(void)
{
    fanfare_options options;
    fanfare_hub *hub = NULL, *other = NULL;
    fanfare_event event = event_of("at once");
    fanfare_text topic = FANFARE_TEXT("news");
    fanfare_publication publication;
    fanfare_metrics metrics;
    fanfare_event_id ids[2];
    size_t count = 77;
    client *client;
    received got;

    start_server();
    options = options_of_cluster();
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_new(&options, &other), FANFARE_OK);
    client = client_new(hub_listen(other), "news");

    /* Its id is the server's, and not known yet. */
    ids[0] = id_untouched();
    CHECK_EQ(fanfare_hub_publish(hub, topic, &event, &ids[0]), FANFARE_OK);
    CHECK_EQ(ids[0].length, 0);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "at once");

    event = event_of("waited for");
    publication = fanfare_publication_of(&topic, 1, &event);
    CHECK_EQ(fanfare_hub_publish_wait(hub, &publication, DEADLINE_MS, &ids[0]), FANFARE_OK);
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "waited for");
    CHECK_ID(ids[0], got.id);

    CHECK_EQ(fanfare_hub_publish_many(hub, &publication, 1, DEADLINE_MS, ids, &count), FANFARE_OK);
    CHECK_EQ(count, 1);
    CHECK(client_next(client, &got));
    CHECK_ID(ids[0], got.id);
    CHECK_EQ(fanfare_hub_publish_many(hub, &publication, 1, 0, ids, &count), FANFARE_OK);
    CHECK_EQ(count, 1);
    CHECK_EQ(ids[0].length, 0);
    CHECK_EQ(fanfare_hub_flush(hub, DEADLINE_MS), FANFARE_OK);
    CHECK(client_next(client, &got));

    metrics = metrics_of_items(other, 4);
    CHECK_EQ(metrics.cluster_failing, 0);
    CHECK_EQ(metrics.cluster_items, 4);
    CHECK_EQ(metrics.cluster_batches, 0);
    CHECK_EQ(metrics.cluster_losses, 0);
    metrics = metrics_of_items(hub, 4);
    CHECK(metrics.cluster_batches >= 1 && metrics.cluster_batches <= 4);
    CHECK_EQ(metrics.cluster_connects, 1);
    client_free(client);
    fanfare_hub_free(hub);
    fanfare_hub_free(other);
    end_server();
}

/* Counts until so many nodes have answered: a node shows itself a moment after it has come. */
static fanfare_cluster_count count_of_nodes(const fanfare_hub *hub, uint64_t nodes)
{
    fanfare_cluster_count count = fanfare_cluster_count_empty();
    int64_t end = now_ms() + DEADLINE_MS;

    do {
        CHECK_EQ(fanfare_hub_cluster_subscribers(hub, FANFARE_TEXT("rooms/1"), DEADLINE_MS, &count), FANFARE_OK);
    } while (count.answered < nodes && now_ms() < end);
    CHECK_EQ(count.answered, nodes);
    CHECK_EQ(count.nodes, nodes);
    return count;
}

static void counts_at_all_nodes(void)
{
    fanfare_connection_filter filter = fanfare_connection_filter_of_all();
    fanfare_cluster_count count = fanfare_cluster_count_empty();
    fanfare_connection connection = {0};
    fanfare_connections *list = NULL;
    fanfare_options options;
    fanfare_hub *hub = NULL, *other = NULL, *alone = NULL;
    client *clients[3];
    size_t i;

    start_server();
    options = options_of_cluster();
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_new(&options, &other), FANFARE_OK);
    clients[0] = client_new(hub_listen(other), "rooms/1");
    clients[1] = client_new(hub_listen(other), "rooms/2");
    clients[2] = client_new(hub_listen(hub), "rooms/1");
    CHECK_EQ(count_of_nodes(hub, 2).count, 2);

    CHECK_EQ(fanfare_hub_cluster_connections(hub, NULL, DEADLINE_MS, &count, &list), FANFARE_OK);
    CHECK_EQ(count.nodes, 2);
    CHECK_EQ(count.answered, 2);
    CHECK_EQ(count.count, 3);
    CHECK_EQ(fanfare_connections_count(list), 3);
    connection.size = sizeof connection;
    for (i = 0; i < 3; i++) {
        CHECK_EQ(fanfare_connections_get(list, i, &connection), FANFARE_OK);
        CHECK_EQ(connection.node.length, 16);
        CHECK_EQ(connection.subscriptions_count, 1);
    }
    fanfare_connections_free(list);
    filter.subscription = FANFARE_TEXT("rooms/1");
    filter.limit = 1;
    CHECK_EQ(fanfare_hub_cluster_connections(other, &filter, DEADLINE_MS, &count, &list), FANFARE_OK);
    CHECK_EQ(count.count, 2);
    CHECK_EQ(fanfare_connections_count(list), 1);
    fanfare_connections_free(list);
    CHECK_EQ(fanfare_hub_cluster_connections(other, &filter, DEADLINE_MS, &count, NULL), FANFARE_OK);
    CHECK_EQ(count.count, 2);

    /* A list of one node does not say which. */
    CHECK_EQ(fanfare_hub_connections(other, NULL, &list), FANFARE_OK);
    CHECK_EQ(fanfare_connections_get(list, 0, &connection), FANFARE_OK);
    CHECK(connection.node.data == NULL && connection.node.length == 0);
    fanfare_connections_free(list);

    CHECK_EQ(fanfare_hub_cluster_connections(hub, NULL, 100, NULL, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_cluster_connections(NULL, NULL, 100, &count, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_cluster_subscribers(hub, FANFARE_TEXT("rooms/+"), 100, &count), FANFARE_ERR_TOPIC);
    filter.lagging = 2;
    CHECK_EQ(fanfare_hub_cluster_connections(hub, &filter, 100, &count, NULL), FANFARE_ERR_OPTIONS);
    count.size = sizeof count - 1;
    CHECK_EQ(fanfare_hub_cluster_connections(hub, NULL, 100, &count, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_hub_cluster_subscribers(hub, FANFARE_TEXT("t"), 100, &count), FANFARE_ERR_ARGUMENT);
    count.size = sizeof count;
    CHECK_EQ(fanfare_hub_new(NULL, &alone), FANFARE_OK);
    CHECK_EQ(fanfare_hub_cluster_connections(alone, NULL, 100, &count, NULL), FANFARE_ERR_CLUSTER);
    CHECK_EQ(fanfare_hub_cluster_subscribers(alone, FANFARE_TEXT("t"), 100, &count), FANFARE_ERR_CLUSTER);
    fanfare_hub_free(alone);
    for (i = 0; i < 3; i++)
        client_free(clients[i]);
    fanfare_hub_free(hub);
    fanfare_hub_free(other);
    end_server();
}

static void finishes_for_all(void)
{
    fanfare_options options;
    fanfare_hub *hub = NULL, *other = NULL;
    fanfare_event last = event_of("the last");
    fanfare_text topic = FANFARE_TEXT("run/7");
    fanfare_publication publication = fanfare_publication_of(&topic, 1, &last);
    fanfare_event_id id;

    start_server();
    options = options_of_cluster();
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_new(&options, &other), FANFARE_OK);
    CHECK_EQ(fanfare_hub_finish(hub, topic, &last, DEADLINE_MS, &id), FANFARE_OK);
    CHECK(id.length > 0);
    /* Whether the other hub has read of it by now or not: the order decides. */
    CHECK_EQ(fanfare_hub_publish_wait(other, &publication, DEADLINE_MS, &id), FANFARE_ERR_FINISHED);
    fanfare_hub_free(hub);
    fanfare_hub_free(other);
    end_server();
}

/* A server that stands still: what finds no space is told when there is some, and not before. */
static void tells_of_space(void)
{
    fanfare_options options;
    fanfare_hub *hub = NULL;
    fanfare_notices *notices = notices_new();
    fanfare_text topic = FANFARE_TEXT("news");
    char data[8 << 10];
    fanfare_event event = event_of(NULL);
    fanfare_publication publication = fanfare_publication_of(&topic, 1, &event);
    fanfare_notice notice;
    fanfare_status status = FANFARE_OK;
    int i;

    memset(data, 'x', sizeof data);
    event.data = fanfare_text_of(data, sizeof data);
    start_server();
    options = options_of_cluster();
    options.cluster_backlog_bytes_max = 64 << 10;
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK(kill(server, SIGSTOP) == 0);
    for (i = 0; i < 100 && status == FANFARE_OK; i++) {
        status = fanfare_hub_publish(hub, topic, &event, NULL);
    }
    CHECK_EQ(status, FANFARE_ERR_FULL);
    CHECK_EQ(fanfare_hub_notify_space(hub, notices, 7, &publication), FANFARE_OK);
    CHECK_EQ(drain(notices, &notice, 1), 0);
    CHECK_EQ(fanfare_hub_publish(hub, topic, &event, NULL), FANFARE_ERR_FULL);
    CHECK(kill(server, SIGCONT) == 0);
    notice = notices_next(notices);
    CHECK_EQ(notice.kind, FANFARE_NOTICE_SPACE);
    CHECK_EQ(notice.token, 7);
    CHECK_EQ(fanfare_hub_publish_wait(hub, &publication, DEADLINE_MS, NULL), FANFARE_OK);
    fanfare_hub_free(hub);
    fanfare_notices_free(notices);
    end_server();
}

/* The last thing that the log has said. */
static char said[FANFARE_LOG_BYTES_MAX + 1];

static void write_down(void *user_data, const fanfare_log_record *record)
{
    (void)user_data;
    memcpy(said, record->message.data, record->message.length);
    said[record->message.length] = '\0';
}

static void refused(void)
{
    fanfare_options options = options_new();
    fanfare_hub *hub = NULL;

    CHECK_EQ(fanfare_log_set(FANFARE_LOG_ERROR, write_down, NULL, NULL), FANFARE_OK);
    /* At once, as there is no TLS in this library. */
    options.cluster_url = FANFARE_TEXT("rediss://user:secret@127.0.0.1:1");
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_CLUSTER);
    CHECK(hub == NULL);
    CHECK(strstr(said, "rediss://127.0.0.1:1") != NULL && strstr(said, "secret") == NULL);
    said[0] = '\0';
    options = options_new();
    options.data_dir = FANFARE_TEXT("/no/such/folder/at/all");
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_JOURNAL);
    CHECK(strstr(said, "/no/such/folder/at/all") != NULL);
    CHECK_EQ(fanfare_log_set(FANFARE_LOG_OFF, NULL, NULL, NULL), FANFARE_OK);
}

static void wrong(void)
{
    static const char *const urls[] = {"", "127.0.0.1:6379", "http://127.0.0.1", "redis+sentinel://host"};
    fanfare_options options = options_new();
    fanfare_text name, bounds;
    size_t i;

    for (i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        options.cluster_url = fanfare_text_of_string(urls[i]);
        CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
        CHECK(text_is(name, "cluster_url") && bounds.length > 0);
    }
    options.cluster_url = FANFARE_TEXT("redis://127.0.0.1");
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    options.data_dir = FANFARE_TEXT("/tmp");
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "cluster_url") && text_is(bounds, "given without data_dir"));
    options = options_new();
    options.cluster_prefix = FANFARE_TEXT("a{b}");
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "cluster_prefix"));
    options = options_new();
    options.cluster_ca_file = FANFARE_TEXT("");
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "cluster_ca_file"));
}

const test tests_of_cluster[] = {
    {"what a hub of a cluster publishes reaches the clients of another, and who waits has its id",
     reaches_the_clients_of_all},
    {"who finds too much on its way to a cluster's server is told when there is space", tells_of_space},
    {"a hub of a cluster counts the connections of all and lists them", counts_at_all_nodes},
    {"a topic that a hub of a cluster finishes is finished for all", finishes_for_all},
    {"a cluster or a folder that does not serve makes no hub, and the log says why", refused},
    {"a URL of a cluster and its other options that cannot be are refused and named", wrong},
    {NULL, NULL},
};
