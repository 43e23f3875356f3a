// The header is C++ as well, and the library links from there.

#include <fanfare.h>

#include <cstdio>

int main() {
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
    const fanfare_status status = fanfare_hub_publish(hub, FANFARE_TEXT("t"), &event, &id);
    fanfare_hub_free(hub);
    std::puts(fanfare_strerror(status));
    return status == FANFARE_OK && fanfare_event_id_text(&id).length > 0 ? 0 : 1;
}
