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
// so that a time that is not zero stays so; a negative time is 0.
template <class Rep, class Period>
constexpr std::uint64_t ms(std::chrono::duration<Rep, Period> time)
{
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(time).count();
    return count < 0 ? 0 : static_cast<std::uint64_t>(count);
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
    event(std::string_view data) noexcept // NOLINT: a text is an event
        : event_(fanfare_event_of(text(data.data() == nullptr ? std::string_view("") : data)))
    {
    }
    event(const char *data) noexcept : event(std::string_view(data)) {}            // NOLINT
    event(const std::string &data) noexcept : event(std::string_view(data)) {}     // NOLINT

    event &name(std::string_view name) noexcept { return set(event_.name, name); }
    event &id(std::string_view id) noexcept { return set(event_.id, id); }
    event &key(std::string_view key) noexcept { return set(event_.key, key); }

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
