// fanfare.hpp - fanfare from C++17: the everyday functions of fanfare.h, with objects that free what
// they own, exceptions, std::string_view and std::chrono. Header only.
//
//     #include <fanfare.hpp>
//     #include <iostream>
//     #include <string>
//
//     int main()
//     {
//         fanfare::hub hub;
//         auto listener = hub.listen("127.0.0.1:8080");
//         for (std::string line; std::getline(std::cin, line);) {
//             hub.publish_wait("news", line, std::chrono::seconds(10));
//         }
//     }
//
//     c++ -std=c++17 program.cc -lfanfare -o program
//
// fanfare.h is the manual: what a function does, what it may wait for, its errors, threads and forks
// are there, and hold here. Structs of options are those of fanfare.h, made by its helpers such as
// `fanfare_options_defaults()`. What is not wrapped is reached with `get()`, which gives the C object.
//
// Objects are moved and not copied, and free what they own when they are destroyed. One that was moved
// from has nothing: its `get()` is a null pointer, which every call refuses with FANFARE_ERR_ARGUMENT.
//
// A failure is a `fanfare::error`, with the status and its text. A failure that a program has to expect
// can be had without an exception: such a function has an overload that ends with a std::error_code, as
// those of std::filesystem have, and that does not throw. Its value is a `fanfare_status`, and it can be
// compared with the constants: `if (ec == FANFARE_ERR_FULL)`.
//
// Texts that are passed in are views, and are copied before the call returns. An `event` has views as
// well, so the texts have to live until it is published. To publish allocates no memory in this header.

#ifndef FANFARE_HPP
#define FANFARE_HPP

#include "fanfare.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

static_assert(__cplusplus >= 201703L, "fanfare.hpp needs C++17");

namespace fanfare {

// ---- Errors -------------------------------------------------------------------------------------

// The category of statuses: a std::error_code of it has a fanfare_status as its value.
inline const std::error_category &category() noexcept
{
    class statuses final : public std::error_category {
    public:
        const char *name() const noexcept override { return "fanfare"; }
        std::string message(int status) const override { return fanfare_strerror(status); }
    };
    static const statuses the_one;
    return the_one;
}

// A call that has failed.
class error : public std::system_error {
public:
    explicit error(fanfare_status status) : std::system_error(status, category()) {}
    error(fanfare_status status, const std::string &what)
        : std::system_error(status, category(), what)
    {
    }

    fanfare_status status() const noexcept { return code().value(); }
};

// ---- Values -------------------------------------------------------------------------------------

// A text for a call of fanfare.h.
inline fanfare_text text(std::string_view view) noexcept
{
    return fanfare_text_of(view.data(), view.size());
}

// A text that a call of fanfare.h has given; empty if it is none.
inline std::string_view view(fanfare_text text) noexcept
{
    return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.length);
}

// A time for the fields and parameters whose names end with _ms. A part of a millisecond is rounded up,
// so that a time that is not zero stays so. A negative time is 0, as is one that is not a number, and one
// that is too long for std::chrono::milliseconds, such as hours::max(), is the longest of these.
template <class Rep, class Period>
constexpr std::uint64_t ms(std::chrono::duration<Rep, Period> time)
{
    // Compared in floating point, where no long time overflows.
    const std::chrono::duration<long double, std::milli> wide = time;
    constexpr auto longest = std::chrono::milliseconds::max().count();
    if (!(wide.count() > 0)) {
        return 0;
    }
    if (wide.count() >= static_cast<long double>(longest)) {
        return static_cast<std::uint64_t>(longest);
    }
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(time).count());
}

// A point in time for the fields whose names end with _unix_ms, and such a field as a point in time.
inline std::uint64_t unix_ms(std::chrono::system_clock::time_point at)
{
    return ms(at.time_since_epoch());
}

inline std::chrono::system_clock::time_point time_of(std::uint64_t unix_ms)
{
    using clock = std::chrono::system_clock;
    const std::chrono::milliseconds since(static_cast<std::int64_t>(unix_ms));
    return clock::time_point(std::chrono::duration_cast<clock::duration>(since));
}

// The hub's id of an event.
class event_id {
public:
    event_id() noexcept : id_() {}
    explicit event_id(const fanfare_event_id &id) noexcept : id_(id) {}

    // Empty if it is not known yet. The text is in this object.
    std::string_view view() const noexcept { return {id_.text, id_.length}; }
    const fanfare_event_id &get() const noexcept { return id_; }

    friend bool operator==(const event_id &a, const event_id &b) noexcept
    {
        return a.view() == b.view();
    }
    friend bool operator!=(const event_id &a, const event_id &b) noexcept { return !(a == b); }

private:
    fanfare_event_id id_;
};

// An event, put together by its setters: `event("21.5").name("temperature").key("kitchen")`. It has
// views of its texts, which have to live until it is published.
class event {
public:
    // An event with data, which may be empty.
    event(std::string_view data) noexcept 
        : event_(fanfare_event_of(text(data.data() == nullptr ? std::string_view("") : data)))
    {
    }
    event(const char *data) noexcept : event(std::string_view(data)) {}
    event(const std::string &data) noexcept : event(std::string_view(data)) {}

    // What they mean is at `fanfare_event`.
    event &name(std::string_view name) noexcept { return set(event_.name, name); }
    event &id(std::string_view id) noexcept { return set(event_.id, id); }
    event &key(std::string_view key) noexcept { return set(event_.key, key); }
    event &comment(std::string_view comment) noexcept { return set(event_.comment, comment); }
    event &retry(std::chrono::milliseconds time) noexcept
    {
        const std::uint64_t time_ms = ms(time);
        event_.retry_ms = time_ms > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(time_ms);
        return *this;
    }
    event &window(std::chrono::milliseconds time) noexcept
    {
        event_.window_ms = ms(time);
        return *this;
    }

    // For what has no setter.
    fanfare_event *get() noexcept { return &event_; }
    const fanfare_event *get() const noexcept { return &event_; }

private:
    event &set(fanfare_text &field, std::string_view value) noexcept
    {
        field = text(value);
        return *this;
    }

    fanfare_event event_;
};

// Topics or filters for the calls that take several, of any container of texts.
class texts {
public:
    texts(std::initializer_list<std::string_view> list) : texts(list.begin(), list.end()) {}
    template <class Container, class = decltype(std::begin(std::declval<const Container &>()))>
    explicit texts(const Container &container) : texts(std::begin(container), std::end(container))
    {
    }

    const fanfare_text *data() const noexcept { return texts_.data(); }
    std::size_t size() const noexcept { return texts_.size(); }

private:
    template <class Iterator>
    texts(Iterator from, Iterator to)
    {
        for (; from != to; ++from) {
            texts_.push_back(text(*from));
        }
    }

    std::vector<fanfare_text> texts_;
};

// ---- Objects ------------------------------------------------------------------------------------

namespace detail {

inline void check(fanfare_status status)
{
    if (status != FANFARE_OK) {
        throw error(status);
    }
}

inline void report(fanfare_status status, std::error_code &ec) noexcept
{
    ec.assign(status, category());
}

// Throws for options that are refused, and says which one and what it may be.
template <class Options>
[[noreturn]] void fail(fanfare_status status, const Options *options,
                       fanfare_status (*problem)(const Options *, fanfare_text *, fanfare_text *))
{
    fanfare_text name = text({}), bounds = text({});
    if (status == FANFARE_ERR_OPTIONS && options != nullptr
        && problem(options, &name, &bounds) == FANFARE_OK && name.length > 0) {
        throw error(status, std::string(view(name)) + " may be " + std::string(view(bounds)));
    }
    throw error(status);
}

// Owns a C object.
template <class Object, void (*Free)(Object *)>
class handle {
public:
    Object *get() const noexcept { return object_.get(); }

protected:
    handle() noexcept = default;
    explicit handle(Object *object) noexcept : object_(object) {}
    void own(Object *object) noexcept { object_.reset(object); }

private:
    struct freed {
        void operator()(Object *object) const noexcept { Free(object); }
    };
    std::unique_ptr<Object, freed> object_;
};

} // namespace detail

// A topic by handle, whose name was checked: the fastest way to publish to it often.
class topic : public detail::handle<fanfare_topic, fanfare_topic_free> {
public:
    explicit topic(std::string_view name)
    {
        fanfare_topic *made = nullptr;
        detail::check(fanfare_topic_new(text(name), &made));
        own(made);
    }
};

// Whether a topic or filter stands for all that another one stands for.
inline bool covers(std::string_view subscription, std::string_view other)
{
    std::uint32_t covers = 0;
    detail::check(fanfare_subscription_covers(text(subscription), text(other), &covers));
    return covers != 0;
}

// A listener. Its destruction closes it: nobody new is accepted, and open streams stay. It has to be
// destroyed before its hub, or be detached.
class listener {
public:
    listener(const fanfare_hub *hub, fanfare_listener id, std::uint16_t port) noexcept
        : hub_(hub), id_(id), port_(port)
    {
    }
    listener(listener &&other) noexcept
        : hub_(std::exchange(other.hub_, nullptr)), id_(other.id_), port_(other.port_)
    {
    }
    listener &operator=(listener &&other) noexcept
    {
        if (this != &other) {
            close();
            hub_ = std::exchange(other.hub_, nullptr);
            id_ = other.id_;
            port_ = other.port_;
        }
        return *this;
    }
    ~listener() { close(); }

    // The port that it listens on; 0 for a Unix domain socket.
    std::uint16_t port() const noexcept { return port_; }

    // Where it listens, as `hub::listen` takes it.
    std::string address() const
    {
        std::string address(64, '\0');
        std::size_t length = 0;
        fanfare_status status;
        do {
            status = fanfare_listener_address(hub_, id_, address.data(), address.size(), &length);
            if (status == FANFARE_OK || status == FANFARE_ERR_BUFFER) {
                address.resize(length);
            }
        } while (status == FANFARE_ERR_BUFFER);
        detail::check(status);
        return address;
    }

    void close() noexcept
    {
        if (hub_ != nullptr) {
            (void)fanfare_listener_close(std::exchange(hub_, nullptr), id_);
        }
    }

    // Leaves it open for as long as its hub is.
    void detach() noexcept { hub_ = nullptr; }

    fanfare_listener get() const noexcept { return id_; }

private:
    const fanfare_hub *hub_;
    fanfare_listener id_;
    std::uint16_t port_;
};

class notices;

// The event stream of one client, which the program reads and sends by its own server. It may outlive
// its hub. One thread at a time may use it.
class stream : public detail::handle<fanfare_stream, fanfare_stream_free> {
public:
    struct end_of_stream {
        fanfare_disconnect_reason reason;
        bool is_cut;
    };

    explicit stream(fanfare_stream *owned) noexcept : handle(owned) {}

    // The next batch, which may be read until the next call; none if it did not come within the time,
    // or if none will come, which `end` tells.
    std::optional<std::string_view> next(std::chrono::milliseconds timeout)
    {
        std::error_code ec;
        const std::optional<std::string_view> batch = next(timeout, ec);
        if (ec && ec.value() != FANFARE_ERR_TIMEOUT && ec.value() != FANFARE_ERR_ENDED) {
            throw error(ec.value());
        }
        return batch;
    }

    // The same with an error_code, which says whether it is FANFARE_ERR_TIMEOUT or FANFARE_ERR_ENDED.
    std::optional<std::string_view> next(std::chrono::milliseconds timeout,
                                         std::error_code &ec) noexcept
    {
        fanfare_text batch = text({});
        detail::report(fanfare_stream_next(get(), ms(timeout), &batch), ec);
        return ec ? std::nullopt : std::optional<std::string_view>(view(batch));
    }

    // Why it has ended, once all was read.
    std::optional<end_of_stream> end() const
    {
        fanfare_disconnect_reason reason = 0;
        std::uint32_t is_cut = 0;
        detail::check(fanfare_stream_end(get(), &reason, &is_cut));
        return reason == 0 ? std::nullopt : std::optional<end_of_stream>({reason, is_cut != 0});
    }

    // Whether there was nothing for its client, which a server answers with the status 204.
    bool is_complete() const
    {
        std::uint32_t is_complete = 0;
        detail::check(fanfare_stream_is_complete(get(), &is_complete));
        return is_complete != 0;
    }

    // From now on a notice FANFARE_NOTICE_READABLE when there is something to read. Then read until
    // `next` gives nothing.
    inline void notify(const notices &notices, std::uint64_t token);
};

// The engine: its order of events, threads and listeners. Any thread may use it, several at once. Its
// destruction closes it, and sends what was published for at most 2 seconds more.
class hub : public detail::handle<fanfare_hub, fanfare_hub_free> {
public:
    // A hub with the default options.
    hub() : hub(nullptr) {}
    explicit hub(const fanfare_options &options) : hub(&options) {}

    // Publishes to one topic, and never waits. A hub that is full has to be expected.
    event_id publish(std::string_view topic, const event &event)
    {
        return checked(&hub::publish_by_name, topic, event);
    }
    event_id publish(std::string_view topic, const event &event, std::error_code &ec) noexcept
    {
        return reported(ec, &hub::publish_by_name, topic, event);
    }
    event_id publish(const topic &topic, const event &event)
    {
        return checked(&hub::publish_by_handle, topic, event);
    }
    event_id publish(const topic &topic, const event &event, std::error_code &ec) noexcept
    {
        return reported(ec, &hub::publish_by_handle, topic, event);
    }

    // Publishes to one topic, and waits while the hub is full.
    event_id publish_wait(std::string_view topic, const event &event,
                          std::chrono::milliseconds timeout)
    {
        return checked(&hub::publish_one_wait, topic, event, timeout);
    }
    event_id publish_wait(std::string_view topic, const event &event,
                          std::chrono::milliseconds timeout, std::error_code &ec) noexcept
    {
        return reported(ec, &hub::publish_one_wait, topic, event, timeout);
    }

    // Publishes one event to several topics, to all or to none, and waits while the hub is full.
    event_id publish_several(const texts &topics, const event &event,
                             std::chrono::milliseconds timeout)
    {
        return checked(&hub::publish_some_wait, topics, event, timeout);
    }
    event_id publish_several(const texts &topics, const event &event,
                             std::chrono::milliseconds timeout, std::error_code &ec) noexcept
    {
        return reported(ec, &hub::publish_some_wait, topics, event, timeout);
    }

    // Finishes a topic, so that its streams end. With a last event it waits while the hub is full.
    event_id finish(std::string_view topic)
    {
        return checked(&hub::finish_by_name, topic, nullptr, std::chrono::milliseconds(0));
    }
    event_id finish(std::string_view topic, const event &last, std::chrono::milliseconds timeout)
    {
        return checked(&hub::finish_by_name, topic, last.get(), timeout);
    }
    event_id finish(std::string_view topic, const event &last, std::chrono::milliseconds timeout,
                    std::error_code &ec) noexcept
    {
        return reported(ec, &hub::finish_by_name, topic, last.get(), timeout);
    }

    // Accepts clients at `127.0.0.1:8080`, `[::]:0` or `unix:/run/app.sock`, as long as the listener is
    // kept.
    [[nodiscard]] listener listen(std::string_view address)
    {
        return listen_with(address, nullptr);
    }
    [[nodiscard]] listener listen(std::string_view address, const fanfare_listen_options &options)
    {
        return listen_with(address, &options);
    }

    // Subscribes the program itself, for a client that it serves by its own server.
    [[nodiscard]] stream subscribe(const texts &topics)
    {
        return subscribe_with(topics, nullptr);
    }
    [[nodiscard]] stream subscribe(const texts &topics, const fanfare_stream_options &options)
    {
        return subscribe_with(topics, &options);
    }

    // Takes over a connection whose request the program has read: `fd` is the hub's afterwards. With an
    // error it stays the program's, which answers the request in another way; after FANFARE_ERR_PANIC alone
    // the program neither uses nor closes it.
    void adopt(int fd, const fanfare_adopt_request &request)
    {
        detail::check(fanfare_hub_adopt(get(), fd, &request));
    }
    void adopt(int fd, const fanfare_adopt_request &request, std::error_code &ec) noexcept
    {
        detail::report(fanfare_hub_adopt(get(), fd, &request), ec);
    }

    // Sets what is kept of a topic, or of all that match a filter.
    void set_rule(std::string_view filter, const fanfare_topic_options &options)
    {
        const fanfare_status status = fanfare_hub_set_rule(get(), text(filter), &options);
        if (status != FANFARE_OK) {
            detail::fail(status, &options, fanfare_topic_options_problem);
        }
    }

    // What was counted so far.
    fanfare_metrics metrics() const
    {
        fanfare_metrics counted = fanfare_metrics_empty();
        detail::check(fanfare_hub_metrics(get(), &counted));
        return counted;
    }

    // Ends the streams one after another, with a time to come back at, and closes the hub.
    fanfare_drained drain(const fanfare_drain_options &options)
    {
        fanfare_drained drained = fanfare_drained_empty();
        const fanfare_status status = fanfare_hub_drain(get(), &options, &drained);
        if (status != FANFARE_OK) {
            detail::fail(status, &options, fanfare_drain_options_problem);
        }
        return drained;
    }
    fanfare_drained drain() { return drain(fanfare_drain_options_defaults()); }

    // Closes the hub, which refuses everything from then on.
    void close() { detail::check(fanfare_hub_close(get())); }

private:
    explicit hub(const fanfare_options *options)
    {
        fanfare_hub *made = nullptr;
        const fanfare_status status = fanfare_hub_new(options, &made);
        if (status != FANFARE_OK) {
            detail::fail(status, options, fanfare_options_problem);
        }
        own(made);
    }

    listener listen_with(std::string_view address, const fanfare_listen_options *options)
    {
        fanfare_listener id = {};
        std::uint16_t port = 0;
        const fanfare_status status = fanfare_hub_listen(get(), text(address), options, &id, &port);
        if (status != FANFARE_OK) {
            detail::fail(status, options, fanfare_listen_options_problem);
        }
        return listener(get(), id, port);
    }

    stream subscribe_with(const texts &topics, const fanfare_stream_options *options)
    {
        fanfare_stream *made = nullptr;
        const fanfare_status status =
            fanfare_hub_subscribe(get(), topics.data(), topics.size(), options, &made);
        if (status != FANFARE_OK) {
            detail::fail(status, options, fanfare_stream_options_problem);
        }
        return stream(made);
    }

    fanfare_status publish_by_name(std::string_view topic, const event &event,
                                   fanfare_event_id *id) noexcept
    {
        return fanfare_hub_publish(get(), text(topic), event.get(), id);
    }

    fanfare_status publish_by_handle(const topic &topic, const event &event,
                                     fanfare_event_id *id) noexcept
    {
        return fanfare_hub_publish_to(get(), topic.get(), event.get(), id);
    }

    fanfare_status publish_one_wait(std::string_view topic, const event &event,
                                    std::chrono::milliseconds timeout, fanfare_event_id *id) noexcept
    {
        const fanfare_text name = text(topic);
        const fanfare_publication publication = fanfare_publication_of(&name, 1, event.get());
        return fanfare_hub_publish_wait(get(), &publication, ms(timeout), id);
    }

    fanfare_status publish_some_wait(const texts &topics, const event &event,
                                     std::chrono::milliseconds timeout, fanfare_event_id *id) noexcept
    {
        const fanfare_publication publication =
            fanfare_publication_of(topics.data(), topics.size(), event.get());
        return fanfare_hub_publish_wait(get(), &publication, ms(timeout), id);
    }

    fanfare_status finish_by_name(std::string_view topic, const fanfare_event *last,
                                  std::chrono::milliseconds timeout, fanfare_event_id *id) noexcept
    {
        return fanfare_hub_finish(get(), text(topic), last, ms(timeout), id);
    }

    // The id of what one of the above publishes.
    template <class Call, class... Arguments>
    event_id checked(Call call, const Arguments &...arguments)
    {
        fanfare_event_id id = {};
        detail::check((this->*call)(arguments..., &id));
        return event_id(id);
    }

    template <class Call, class... Arguments>
    event_id reported(std::error_code &ec, Call call, const Arguments &...arguments) noexcept
    {
        fanfare_event_id id = {};
        detail::report((this->*call)(arguments..., &id), ec);
        return event_id(id);
    }
};

// What happened to a hub: connections, topics that are wanted, requests to decide on, streams to read.
// A program waits until `doorbell` is readable, by poll or its own event loop, and drains.
class notices : public detail::handle<fanfare_notices, fanfare_notices_free> {
public:
    notices()
    {
        fanfare_notices *made = nullptr;
        detail::check(fanfare_notices_new(&made));
        own(made);
    }

    // The descriptor that is readable while notices wait. It is the queue's, and not to be closed.
    int doorbell() const
    {
        int fd = -1;
        detail::check(fanfare_notices_doorbell(get(), &fd));
        return fd;
    }

    // Takes up to `Capacity` notices, hands each to `take`, and returns how many they were. The texts
    // are valid until `take` returns. If more wait, the doorbell stays readable; also if `take` throws,
    // which is passed on: the notice that it was handed is taken then, and the others wait.
    template <std::size_t Capacity = 64, class Take>
    std::size_t drain(Take &&take)
    {
        std::size_t count = 0;
        while (count < Capacity) {
            // One at a time, so that what is not handed over yet is in the library still.
            fanfare_notice taken;
            std::size_t is_taken = 0;
            detail::check(fanfare_notices_drain(get(), &taken, sizeof taken, 1, &is_taken));
            if (is_taken == 0) {
                break;
            }
            count++;
            take(static_cast<const fanfare_notice &>(taken));
        }
        return count;
    }

    // From now on a notice of each connection of the hub that begins or ends.
    void watch_connections(const hub &hub, std::uint64_t token, std::size_t capacity = 0)
    {
        detail::check(fanfare_hub_watch_connections(hub.get(), get(), token, capacity));
    }

    // From now on a notice when a topic of this filter is wanted, and when it was not for `grace`.
    void watch_interest(const hub &hub, std::string_view filter, std::chrono::milliseconds grace,
                        std::uint64_t token)
    {
        detail::check(fanfare_hub_watch_interest(hub.get(), get(), token, text(filter), ms(grace)));
    }

    // A notice FANFARE_NOTICE_SPACE, once there is space for a publication that found the backlog full.
    void notify_space(const hub &hub, const fanfare_publication &publication, std::uint64_t token)
    {
        detail::check(fanfare_hub_notify_space(hub.get(), get(), token, &publication));
    }

    // From now on a notice FANFARE_NOTICE_LOG of each record of the library's log up to a level.
    void watch_log(fanfare_log_level level, std::uint64_t token, std::size_t capacity = 0)
    {
        detail::check(fanfare_log_watch(get(), token, level, capacity));
    }

    // Ends what has this token.
    void remove(std::uint64_t token) { detail::check(fanfare_notices_remove(get(), token)); }
};

inline void stream::notify(const notices &notices, std::uint64_t token)
{
    detail::check(fanfare_stream_notify(get(), notices.get(), token));
}

// What decides which client gets which stream: `get()` goes into a listener's options. A listener keeps
// what it needs of it; one that asks the program has to live as long as that answers.
class authorizer : public detail::handle<fanfare_authorizer, fanfare_authorizer_free> {
public:
    explicit authorizer(fanfare_authorizer *owned) noexcept : handle(owned) {}

    // Asks the program by a notice FANFARE_NOTICE_AUTHORIZATION, whose `id` is then answered.
    static authorizer ask(const notices &notices, std::uint64_t token,
                          const fanfare_ask_options *options = nullptr)
    {
        fanfare_authorizer *made = nullptr;
        const fanfare_status status =
            fanfare_authorizer_new_ask(notices.get(), token, options, &made);
        if (status != FANFARE_OK) {
            detail::fail(status, options, fanfare_ask_options_problem);
        }
        return authorizer(made);
    }

    // Answers a request. FANFARE_ERR_STALE, that it was answered or that its client has left, has to be
    // expected.
    void allow(std::uint64_t id, const fanfare_grant &grant, std::error_code &ec) noexcept
    {
        detail::report(fanfare_authorizer_allow(get(), id, &grant), ec);
    }
    void refuse(std::uint64_t id, const fanfare_refusal &refusal, std::error_code &ec) noexcept
    {
        detail::report(fanfare_authorizer_refuse(get(), id, &refusal), ec);
    }
};

} // namespace fanfare

// A std::error_code can be compared with the constants of fanfare.h.
template <>
struct std::is_error_code_enum<fanfare_status_code> : std::true_type {};

inline std::error_code make_error_code(fanfare_status_code status) noexcept
{
    return {static_cast<int>(status), fanfare::category()};
}

#endif // FANFARE_HPP
