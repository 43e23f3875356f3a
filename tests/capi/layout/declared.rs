// What the header declares, by its names in Rust. Made by `make header`.

declared! {
    constant FANFARE_ABI_VERSION "FANFARE_ABI_VERSION";
    constant FANFARE_EVENT_ID_BYTES_MAX "FANFARE_EVENT_ID_BYTES_MAX";
    constant FanfareStatusCode::FANFARE_OK "FANFARE_OK";
    constant FanfareStatusCode::FANFARE_ERR_PANIC "FANFARE_ERR_PANIC";
    constant FanfareStatusCode::FANFARE_ERR_ARGUMENT "FANFARE_ERR_ARGUMENT";
    constant FanfareStatusCode::FANFARE_ERR_FORKED "FANFARE_ERR_FORKED";
    constant FanfareStatusCode::FANFARE_ERR_CLOSED "FANFARE_ERR_CLOSED";
    constant FanfareStatusCode::FANFARE_ERR_FULL "FANFARE_ERR_FULL";
    constant FanfareStatusCode::FANFARE_ERR_TOPIC "FANFARE_ERR_TOPIC";
    constant FanfareStatusCode::FANFARE_ERR_EVENT "FANFARE_ERR_EVENT";
    constant FanfareStatusCode::FANFARE_ERR_UTF8 "FANFARE_ERR_UTF8";
    constant FanfareStatusCode::FANFARE_ERR_TOO_LARGE "FANFARE_ERR_TOO_LARGE";
    constant FanfareStatusCode::FANFARE_ERR_OPTIONS "FANFARE_ERR_OPTIONS";
    constant FanfareStatusCode::FANFARE_ERR_ADDRESS "FANFARE_ERR_ADDRESS";
    constant FanfareStatusCode::FANFARE_ERR_SYSTEM "FANFARE_ERR_SYSTEM";
    constant FanfareStatusCode::FANFARE_ERR_FINISHED "FANFARE_ERR_FINISHED";
    constant FanfareStatusCode::FANFARE_ERR_TIMEOUT "FANFARE_ERR_TIMEOUT";
    constant FanfareStatusCode::FANFARE_ERR_SUBSCRIPTION "FANFARE_ERR_SUBSCRIPTION";
    constant FanfareStatusCode::FANFARE_ERR_TOO_MANY "FANFARE_ERR_TOO_MANY";
    constant FanfareStatusCode::FANFARE_ERR_BUFFER "FANFARE_ERR_BUFFER";
    constant FanfareStatusCode::FANFARE_ERR_STALE "FANFARE_ERR_STALE";
    constant FanfareStatusCode::FANFARE_ERR_LIMIT "FANFARE_ERR_LIMIT";
    constant FanfareStatusCode::FANFARE_ERR_BUSY "FANFARE_ERR_BUSY";
    constant FanfareStatusCode::FANFARE_ERR_SOCKET "FANFARE_ERR_SOCKET";
    constant FanfareStatusCode::FANFARE_ERR_SOCKET_TLS "FANFARE_ERR_SOCKET_TLS";
    constant FanfareStatusCode::FANFARE_ERR_SOCKET_READ "FANFARE_ERR_SOCKET_READ";
    constant FanfareStatusCode::FANFARE_ERR_SOCKET_UNSENT "FANFARE_ERR_SOCKET_UNSENT";
    constant FanfareStatusCode::FANFARE_ERR_REQUEST "FANFARE_ERR_REQUEST";
    constant FanfareStatusCode::FANFARE_ERR_GRANT "FANFARE_ERR_GRANT";
    constant FanfareStatusCode::FANFARE_ERR_KEY "FANFARE_ERR_KEY";
    constant FanfareStatusCode::FANFARE_ERR_ENDED "FANFARE_ERR_ENDED";
    number FanfareStatus "fanfare_status";
    layout FanfareText "fanfare_text" [data, length];
    layout FanfareOptions "fanfare_options" [size, shards, heartbeat_ms, retry_ms, event_bytes_max, batch_bytes_max, topic_backlog_bytes_max, backlog_bytes_max, history_events_max, history_bytes_max, history_age_max_ms, history_total_bytes_max, lag_bytes_max, lag_age_max_ms, lag_grace_ms, lag_grace_percent, lag_total_bytes_max, stall_time_max_ms, connections_max, connections_per_address_max, subscriptions_max, subscriptions_per_address_max, connection_age_max_ms, any_host, finished_age_max_ms];
    layout FanfareEvent "fanfare_event" [size, data, name, id, key, retry_ms];
    layout FanfareEventId "fanfare_event_id" [length, text];
}
