/* Publishes the time to the topic "ticks" each second, until SIGINT or SIGTERM.
 *
 * Build it from the repository's root, after `make capi`:
 *
 *   c++ -std=c++17 -Iinclude examples/cpp/ticker.cpp -Lbuild/lib -Wl,-rpath,build/lib -lfanfare \
 *       -o ticker
 *
 * Statically, so that it needs no libfanfare.so:
 *
 *   c++ -std=c++17 -Iinclude examples/cpp/ticker.cpp build/lib/libfanfare.a \
 *       -lgcc_s -lutil -lrt -lpthread -lm -ldl -o ticker
 *
 * With the library that `make install` has installed:
 *
 *   c++ -std=c++17 examples/cpp/ticker.cpp $(pkg-config --cflags --libs fanfare) -o ticker
 *
 * Try it:
 *
 *   ./ticker 127.0.0.1:8080
 *   curl -N 'http://127.0.0.1:8080/events?topic=ticks'
 */

#include <fanfare.hpp>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

namespace {

// Ticks until a signal of the set comes, which has to be blocked.
void tick_until_signal(fanfare::hub &hub, const sigset_t &ends)
{
    const timespec second = {1, 0};
    const fanfare::topic ticks("ticks");
    unsigned long count = 0;

    do {
        const std::string data = "{\"count\":" + std::to_string(++count)
                                 + ",\"time\":" + std::to_string(std::time(nullptr)) + "}";
        std::error_code ec;
        hub.publish(ticks, fanfare::event(data).name("tick"), ec);
        if (ec == FANFARE_ERR_FULL) {
            // Clients are slower than the ticks. The next tick replaces this one.
            std::cerr << "ticker: tick " << count << " left out: " << ec.message() << '\n';
        } else if (ec) {
            throw fanfare::error(ec.value());
        }
    } while (sigtimedwait(&ends, nullptr, &second) < 0);
}

void serve(std::string_view address, const sigset_t &ends)
{
    using namespace std::chrono_literals;

    fanfare_options options = fanfare_options_defaults();
    options.heartbeat_ms = fanfare::ms(5s);
    fanfare::hub hub(options);
    const fanfare::listener listener = hub.listen(address);

    std::cout << "ticker: listening on " << address << ", port " << listener.port()
              << ": /events?topic=ticks" << std::endl;
    tick_until_signal(hub, ends);
    // The listener is closed; then the hub, which sends what is still to be sent.
}

} // namespace

int main(int argc, char **argv)
{
    sigset_t ends;

    // Blocked before the hub starts its threads, which inherit it: so the signals wait for us.
    if (sigemptyset(&ends) != 0 || sigaddset(&ends, SIGINT) != 0 || sigaddset(&ends, SIGTERM) != 0
        || sigprocmask(SIG_BLOCK, &ends, nullptr) != 0) {
        std::cerr << "ticker: signals cannot be blocked\n";
        return EXIT_FAILURE;
    }
    try {
        serve(argc > 1 ? argv[1] : "127.0.0.1:8080", ends);
    } catch (const std::exception &error) {
        std::cerr << "ticker: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
