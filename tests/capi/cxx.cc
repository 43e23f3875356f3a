// The header is C++ as well, and the library links from there.

#include <fanfare.h>

#include <cstdio>
#include <cstring>

int main() {
    fanfare_options options{};
    options.size = sizeof options;
    fanfare_hub *hub = nullptr;
    if (fanfare_abi_version() != FANFARE_ABI_VERSION
        || fanfare_options_init(&options) != FANFARE_OK
        || fanfare_hub_new(&options, &hub) != FANFARE_OK) {
        return 1;
    }
    fanfare_event event{};
    event.size = sizeof event;
    event.data = "hello";
    event.data_len = std::strlen(event.data);
    uint64_t sequence = 0;
    const int32_t code = fanfare_hub_publish(hub, "t", 1, &event, &sequence);
    fanfare_hub_free(hub);
    std::puts(fanfare_strerror(code));
    return code == FANFARE_OK && sequence == 1 ? 0 : 1;
}
