// The header for C++17: what its objects do, own and throw. hpp-tests [WORD]...

#include <fanfare.hpp>

extern "C" {
#include "check.h"
#include "client.h"
#include "http.h"
#include "runner.h"
}

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using std::string_view;

namespace {

std::size_t allocations = 0;

// The status that a call fails with; FANFARE_OK if it does not fail.
template <class Call>
fanfare_status status_of(Call &&call)
{
    try {
        call();
    } catch (const fanfare::error &error) {
        CHECK(string_view(error.what()).find(fanfare_strerror(error.status())) != string_view::npos);
        return error.status();
    }
    return FANFARE_OK;
}

// What the error says of a call that fails.
template <class Call>
std::string text_of(Call &&call)
{
    try {
        call();
    } catch (const fanfare::error &error) {
        return error.what();
    }
    return "";
}

fanfare::hub new_hub()
{
    return fanfare::hub(options_new());
}

bool has(const std::string &text, string_view part)
{
    return text.find(part) != std::string::npos;
}

void publishes()
{
    fanfare::hub hub = new_hub();
    const fanfare::listener listener = hub.listen("127.0.0.1:0");
    const fanfare::topic topic("news");
    client *reading = client_new(listener.port(), "news");
    received got;
    std::error_code ec = std::make_error_code(std::errc::interrupted);

    const fanfare::event_id id =
        hub.publish("news", fanfare::event("21.5").name("reading").key("kitchen"));
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.name, "reading");
    CHECK_TEXT(got.data, "21.5");
    CHECK(id.view() == got.id);

    CHECK(hub.publish(topic, std::string("by handle"), ec) != id);
    CHECK(!ec);
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.data, "by handle");
    hub.publish(topic, fanfare::event("own id").id("mine"));
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.id, "mine");
    hub.publish("news", string_view());
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.data, "");
    hub.publish_wait("news", "waited", 10s);
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.data, "waited");
    hub.publish_several({"other", "news"}, "to several", 10s);
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.data, "to several");
    hub.publish_several(fanfare::texts(std::vector<std::string>{"news"}), "to a container", 10s, ec);
    CHECK(!ec);
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.data, "to a container");
    hub.finish("news", fanfare::event("the last").name("end"), 10s);
    CHECK(client_next(reading, &got));
    CHECK_TEXT(got.data, "the last");
    client_expect_end(reading);
    client_free(reading);
    CHECK_EQ(status_of([&] { hub.publish("news", "too late"); }), FANFARE_ERR_FINISHED);
}

void says_what_failed()
{
    fanfare::hub hub = new_hub();
    std::error_code ec;

    CHECK_EQ(status_of([&] { hub.publish("a/#", "x"); }), FANFARE_ERR_TOPIC);
    CHECK_EQ(status_of([&] { fanfare::topic("a/+"); }), FANFARE_ERR_TOPIC);
    CHECK(fanfare::covers("a/#", "a/b") && !fanfare::covers("a/b", "a/#"));
    CHECK_EQ(status_of([&] { fanfare::covers("a", "a/#/b"); }), FANFARE_ERR_SUBSCRIPTION);
    CHECK_EQ(status_of([&] { hub.publish("a", "\xff"); }), FANFARE_ERR_UTF8);
    CHECK_EQ(status_of([&] { (void)hub.listen("nowhere"); }), FANFARE_ERR_ADDRESS);
    CHECK_EQ(status_of([&] { (void)hub.subscribe({}); }), FANFARE_ERR_SUBSCRIPTION);
    CHECK(hub.publish("a/#", "x", ec) == fanfare::event_id());
    CHECK(ec == FANFARE_ERR_TOPIC && ec != FANFARE_ERR_EVENT);
    CHECK(ec.message() == fanfare_strerror(FANFARE_ERR_TOPIC));
    CHECK_TEXT(ec.category().name(), "fanfare");
    hub.publish("a", "x", ec);
    CHECK(!ec && ec != FANFARE_ERR_TOPIC);
    hub.close();
    CHECK_EQ(status_of([&] { hub.publish("a", "x"); }), FANFARE_ERR_CLOSED);
}

void names_the_option()
{
    fanfare_options options = options_new();
    fanfare_listen_options listening = fanfare_listen_options_defaults();
    fanfare_stream_options streaming = fanfare_stream_options_defaults();
    fanfare_drain_options draining = fanfare_drain_options_defaults();
    fanfare_topic_options keeping = fanfare_topic_options_defaults();
    fanfare::hub hub = new_hub();

    options.shards = 0;
    CHECK(has(text_of([&] { fanfare::hub failed(options); }), "shards may be 1 to 256"));
    listening.head_bytes_max = 1;
    CHECK(has(text_of([&] { (void)hub.listen("127.0.0.1:0", listening); }), "head_bytes_max may be"));
    streaming.policy = 99;
    CHECK(has(text_of([&] { (void)hub.subscribe({"t"}, streaming); }), "policy may be"));
    draining.window_ms = UINT64_MAX;
    CHECK(has(text_of([&] { hub.drain(draining); }), "window_ms may be"));
    keeping.history_age_max_ms = UINT64_MAX - 1;
    CHECK(has(text_of([&] { hub.set_rule("t/#", keeping); }), "history_age_max_ms may be"));
    keeping.history_age_max_ms = fanfare::ms(1h);
    hub.set_rule("t/#", keeping);
}

void listeners_close()
{
    fanfare::hub hub = new_hub();
    fanfare::listener outer = hub.listen("127.0.0.1:0");
    const std::uint16_t first = outer.port();

    CHECK(outer.address() == "127.0.0.1:" + std::to_string(first));
    {
        fanfare::listener inner = hub.listen("127.0.0.1:0");
        const std::uint16_t second = inner.port();
        CHECK(!client_is_refused(second));
        outer = std::move(inner);
        CHECK(client_is_refused(first));
        CHECK(!client_is_refused(second));
    }
    const std::uint16_t kept = outer.port();
    CHECK(!client_is_refused(kept));
    outer.close();
    outer.close();
    CHECK(client_is_refused(kept));

    std::uint16_t detached = 0;
    {
        fanfare::listener inner = hub.listen("127.0.0.1:0");
        detached = inner.port();
        inner.detach();
    }
    CHECK(!client_is_refused(detached));
}

void streams_are_read()
{
    fanfare::hub hub = new_hub();
    fanfare::stream stream = hub.subscribe({"run/#", "run"});
    std::error_code ec;
    std::string all;

    hub.publish("run", "one");
    hub.finish("run");
    hub.publish("run/2", "two");
    while (!has(all, "data: two\n")) {
        const auto batch = stream.next(std::chrono::milliseconds(DEADLINE_MS));
        CHECK(batch.has_value());
        all += *batch;
    }
    CHECK(has(all, "data: one\n"));
    CHECK(!stream.end() && !stream.is_complete());
    CHECK(!stream.next(0ms, ec));
    CHECK(ec == FANFARE_ERR_TIMEOUT);
    hub.close();
    do {
        stream.next(std::chrono::milliseconds(DEADLINE_MS), ec);
    } while (!ec);
    CHECK(ec == FANFARE_ERR_ENDED);
    CHECK(!stream.next(0ms).has_value());
    CHECK(stream.end().has_value());
    CHECK_EQ(stream.end()->reason, FANFARE_DISCONNECT_CLOSED);
    CHECK(!stream.end()->is_cut);
}

void wait_for(const fanfare::notices &notices)
{
    pollfd readable = {notices.doorbell(), POLLIN, 0};

    CHECK_EQ(poll(&readable, 1, DEADLINE_MS), 1);
}

void notices_come()
{
    fanfare::notices notices;
    fanfare::hub hub = new_hub();
    fanfare::authorizer authorizer = fanfare::authorizer::ask(notices, 7);
    fanfare_listen_options options = fanfare_listen_options_defaults();
    std::string happened;
    http *reading = nullptr;

    options.authorizer = authorizer.get();
    const fanfare::listener listener = hub.listen("127.0.0.1:0", options);
    notices.watch_connections(hub, 1);
    notices.watch_interest(hub, "user/#", 0ms, 2);
    reading = http_ask(listener.port(), "/events?topic=user/ann", "Cookie: ann\r\n");
    while (!has(happened, "connected") || !has(happened, "wanted")) {
        wait_for(notices);
        notices.drain([&](const fanfare_notice &notice) {
            std::error_code ec;
            if (notice.kind == FANFARE_NOTICE_AUTHORIZATION) {
                const fanfare_text topic = fanfare::text("user/ann");
                fanfare_grant grant = fanfare_grant_of(&topic, 1);
                CHECK_EQ(notice.token, 7);
                CHECK(fanfare::view(notice.request->path) == "/events");
                grant.tag = fanfare::text("ann");
                grant.expires_at_unix_ms = fanfare::unix_ms(std::chrono::system_clock::now() + 1h);
                authorizer.allow(notice.id, grant, ec);
                CHECK(!ec);
                authorizer.refuse(notice.id, fanfare_refusal_of(403), ec);
                CHECK(ec == FANFARE_ERR_STALE);
            } else if (notice.kind == FANFARE_NOTICE_CONNECTED) {
                CHECK_EQ(notice.token, 1);
                happened += "connected " + std::string(fanfare::view(notice.tag)) + ";";
                CHECK(fanfare::time_of(notice.at_unix_ms) <= std::chrono::system_clock::now());
            } else if (notice.kind == FANFARE_NOTICE_WANTED) {
                CHECK_EQ(notice.token, 2);
                happened += "wanted " + std::string(fanfare::view(notice.subscriptions[0])) + ";";
            }
        });
    }
    CHECK(has(happened, "connected ann;") && has(happened, "wanted user/ann;"));
    http_await(reading);
    CHECK_EQ(http_status(reading), 200);
    CHECK_EQ(hub.metrics().connections, 1);
    notices.remove(2);
    CHECK_EQ(status_of([&] { notices.remove(2); }), FANFARE_ERR_STALE);
    const fanfare_drained drained = hub.drain();
    CHECK_EQ(drained.told, 1);
    http_rest(reading);
    http_free(reading);
}

void streams_notify()
{
    fanfare::notices notices;
    fanfare::hub hub = new_hub();
    fanfare::stream stream = hub.subscribe(fanfare::texts({"t"}));
    std::string all;

    stream.notify(notices, 9);
    hub.publish("t", "hello");
    while (!has(all, "data: hello\n")) {
        wait_for(notices);
        notices.drain<1>([&](const fanfare_notice &notice) {
            CHECK_EQ(notice.kind, FANFARE_NOTICE_READABLE);
            CHECK_EQ(notice.token, 9);
            while (const auto batch = stream.next(0ms)) {
                all += *batch;
            }
        });
    }
}

/* What `take` throws leaves the other notices where they are, and the doorbell rings for them. */
void notices_survive_an_exception()
{
    fanfare::notices notices;
    fanfare::hub hub = new_hub();
    const fanfare_text topic = fanfare::text("t");
    const fanfare_publication publication = fanfare_publication_of(&topic, 1, nullptr);
    std::string taken;
    int thrown = 0;

    notices.watch_log(FANFARE_LOG_ERROR, 9);
    for (std::uint64_t token = 1; token <= 5; token++) {
        notices.notify_space(hub, publication, token);
    }
    while (taken.size() < 5) {
        wait_for(notices);
        try {
            notices.drain([&](const fanfare_notice &notice) {
                CHECK_EQ(notice.kind, FANFARE_NOTICE_SPACE);
                taken += static_cast<char>('0' + notice.token);
                if (notice.token % 2 == 1) {
                    throw std::runtime_error(std::string(100, 'x'));
                }
            });
        } catch (const std::runtime_error &) {
            thrown++;
        }
    }
    CHECK(taken == "12345");
    CHECK_EQ(thrown, 3);
    CHECK_EQ(notices.drain([](const fanfare_notice &) {}), 0);
}

/* A path that is longer than the buffer which is tried first, and is not UTF-8. */
void addresses_of_any_length()
{
    fanfare::hub hub = new_hub();
    const std::string path = "unix:/tmp/fanfare-\xff-" + std::to_string(getpid()) + std::string(60, 'x');
    fanfare::listener listener = hub.listen(path);

    CHECK(listener.address() == path);
    listener.close();
    unlink(path.c_str() + 5);
}

void adopts()
{
    fanfare::hub hub = new_hub();
    const fanfare::texts topics = {"news"};
    fanfare_adopt_request request = fanfare_adopt_request_of(topics.data(), topics.size());
    std::error_code ec;
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    request.method = fanfare::text("PUT");
    hub.adopt(ends[0], request, ec);
    CHECK(ec == FANFARE_ERR_REQUEST);
    request.method = fanfare::text("GET");
    hub.adopt(ends[0], request);
    http *reading = http_over(ends[1]);
    CHECK_EQ(http_status(reading), 200);
    hub.publish("news", "adopted");
    http_expect(reading, "data: adopted\n");
    http_free(reading);
}

void objects_move()
{
    static_assert(!std::is_copy_constructible_v<fanfare::hub>);
    static_assert(!std::is_copy_constructible_v<fanfare::listener>);
    static_assert(!std::is_copy_assignable_v<fanfare::topic>);
    static_assert(std::is_nothrow_move_constructible_v<fanfare::hub>);
    static_assert(std::is_nothrow_move_assignable_v<fanfare::stream>);
    static_assert(std::is_nothrow_move_assignable_v<fanfare::listener>);
    fanfare::hub from = new_hub();
    fanfare::hub to = std::move(from);
    fanfare::notices notices, others = std::move(notices);

    to.publish("t", "x");
    // What has nothing is refused by the library. NOLINTNEXTLINE(bugprone-use-after-move)
    CHECK_EQ(status_of([&] { from.publish("t", "x"); }), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(status_of([&] { (void)notices.doorbell(); }), FANFARE_ERR_ARGUMENT);
    CHECK(others.doorbell() >= 0);
    to = new_hub();
    to.publish("t", "x");
}

void publishing_allocates_nothing()
{
    fanfare::hub hub = new_hub();
    const fanfare::topic topic("t");
    const std::string data(200, 'x');
    std::error_code ec;

    hub.publish(topic, data);
    const std::size_t before = allocations;
    hub.publish("t", "data");
    hub.publish(topic, data);
    hub.publish(topic, fanfare::event(data).name("name").key("key").comment("why").retry(1s));
    hub.publish("#", data, ec);
    hub.publish_wait("t", data, 0ms, ec);
    CHECK_EQ(allocations, before);
    delete new int;
    CHECK(allocations > before);
}

void times_are_rounded_up()
{
    CHECK_EQ(fanfare::ms(2s), 2000);
    CHECK_EQ(fanfare::ms(1ns), 1);
    CHECK_EQ(fanfare::ms(1500us), 2);
    CHECK_EQ(fanfare::ms(0h), 0);
    CHECK_EQ(fanfare::ms(-5s), 0);
    const std::uint64_t longest = std::uint64_t(std::numeric_limits<std::int64_t>::max());
    const double none = std::numeric_limits<double>::quiet_NaN();
    const double endless = std::numeric_limits<double>::infinity();
    CHECK_EQ(fanfare::ms(std::chrono::hours::max()), longest);
    CHECK_EQ(fanfare::ms(std::chrono::seconds::max()), longest);
    CHECK_EQ(fanfare::ms(std::chrono::milliseconds::max()), longest);
    CHECK_EQ(fanfare::ms(std::chrono::nanoseconds::max()), longest / 1000000 + 1);
    CHECK_EQ(fanfare::ms(std::chrono::hours::min()), 0);
    CHECK_EQ(fanfare::ms(std::chrono::duration<double>(1.0001)), 1001);
    CHECK_EQ(fanfare::ms(std::chrono::duration<double>(endless)), longest);
    CHECK_EQ(fanfare::ms(std::chrono::duration<double>(-endless)), 0);
    CHECK_EQ(fanfare::ms(std::chrono::duration<double>(none)), 0);
    const auto at = std::chrono::system_clock::time_point(1234567890123ms);
    CHECK_EQ(fanfare::unix_ms(at), 1234567890123);
    CHECK(fanfare::time_of(1234567890123) == at);
}

const test tests_of_hpp[] = {
    {"C++: events are published by name, by handle and to several topics", publishes},
    {"C++: a failure is an exception or an error_code with the status and its text",
     says_what_failed},
    {"C++: an exception names the option that is refused and its bounds", names_the_option},
    {"C++: a listener is closed when it is destroyed or assigned to, unless detached",
     listeners_close},
    {"C++: a stream gives its batches, and says why it has ended", streams_are_read},
    {"C++: notices come of connections, interest and requests, which are answered", notices_come},
    {"C++: a stream notifies a queue", streams_notify},
    {"C++: an exception while notices are drained loses none of the others", notices_survive_an_exception},
    {"C++: a listener says its address, whatever bytes it has", addresses_of_any_length},
    {"C++: a connection is handed over", adopts},
    {"C++: objects move, and one that was moved from is refused", objects_move},
    {"C++: publishing allocates nothing", publishing_allocates_nothing},
    {"C++: times are rounded up to milliseconds, and never negative", times_are_rounded_up},
    {nullptr, nullptr},
};

} // namespace

// Counted, to see that publishing allocates nothing in the header.
void *operator new(std::size_t size)
{
    allocations++;
    if (void *memory = std::malloc(size > 0 ? size : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}

void operator delete(void *memory) noexcept
{
    std::free(memory);
}

void operator delete(void *memory, std::size_t) noexcept
{
    std::free(memory);
}

int main(int, char **argv)
{
    const test *const all[] = {tests_of_hpp};

    return run_tests(all, 1, argv + 1);
}
