// The header is C++ as well, and the library links from there. An exception never gets into it.

#include <fanfare.h>

#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

extern "C" void throwing(void *, const fanfare_log_record *) {
    throw std::runtime_error("out of the callback");
}

// Has the library log a warning: no process has so many descriptors.
fanfare_status log_a_warning() {
    fanfare_options options = fanfare_options_defaults();
    options.connections_max = 10000000;
    fanfare_hub *hub = nullptr;
    const fanfare_status status = fanfare_hub_new(&options, &hub);
    fanfare_hub_free(hub);
    return status;
}

// Whether a process whose log callback throws is ended, by abort.
bool exception_ends_the_process() {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        const rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        if (std::freopen("/dev/null", "w", stderr) == nullptr) {
            _exit(2);
        }
        if (fanfare_log_set(FANFARE_LOG_WARN, throwing, nullptr, nullptr) != FANFARE_OK) {
            _exit(3);
        }
        try {
            log_a_warning();
        } catch (...) {
            _exit(4);
        }
        _exit(5);
    }
    int status = 0;
    const bool has_ended = child > 0 && waitpid(child, &status, 0) == child;
    return has_ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

} // namespace

int main() {
    if (!exception_ends_the_process()) {
        std::puts("an exception of a callback got into the library");
        return 1;
    }
    fanfare_options options = fanfare_options_defaults();
    fanfare_hub *hub = nullptr;
    if (fanfare_abi_version() != FANFARE_ABI_VERSION
        || fanfare_hub_new(&options, &hub) != FANFARE_OK) {
        return 1;
    }
    fanfare_event event = fanfare_event_of(FANFARE_TEXT("hello"));
    event.name = fanfare_text{"greeting", 8};
    event.key = fanfare_text_of_string("key");
    fanfare_event_id id{};
    fanfare_status status = fanfare_hub_publish(hub, FANFARE_TEXT("t"), &event, &id);
    fanfare_topic *topic = nullptr;
    fanfare_metrics metrics = fanfare_metrics_empty();
    fanfare_topic_options rule = fanfare_topic_options_defaults();
    fanfare_drain_options drain = fanfare_drain_options_defaults();
    fanfare_drained drained = fanfare_drained_empty();
    const fanfare_text names[] = {FANFARE_TEXT("t"), FANFARE_TEXT("u")};
    fanfare_publication both = fanfare_publication_of(names, 2, &event);
    rule.policy = FANFARE_POLICY_CONFLATE;
    if (status != FANFARE_OK || fanfare_topic_new(names[0], &topic) != FANFARE_OK
        || fanfare_hub_publish_wait(hub, &both, UINT64_MAX, &id) != FANFARE_OK) {
        return 1;
    }
    const fanfare_topic *const handles[] = {topic};
    both = fanfare_publication_to(handles, 1, &event);
    std::size_t count = 0;
    if (fanfare_hub_publish_many(hub, &both, 1, 0, &id, &count) != FANFARE_OK || count != 1
        || fanfare_hub_set_rule(hub, names[0], &rule) != FANFARE_OK
        || fanfare_hub_finish_topic(hub, topic, nullptr, 0, nullptr) != FANFARE_OK
        || fanfare_hub_metrics(hub, &metrics) != FANFARE_OK || metrics.published_events != 3) {
        return 1;
    }
    fanfare_topic_free(topic);
    status = fanfare_hub_drain(hub, &drain, &drained);
    fanfare_hub_free(hub);
    std::puts(fanfare_strerror(status));
    return status == FANFARE_OK && fanfare_event_id_text(&id).length > 0 ? 0 : 1;
}
