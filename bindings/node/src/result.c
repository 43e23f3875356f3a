/* To JavaScript: texts, lists and the fields of objects. */

#include "addon.h"

napi_value text_value(napi_env env, fanfare_text text) {
    napi_value value;
    if (text.data) {
        CHECK(env, napi_create_string_utf8(env, text.data, text.length, &value));
    } else {
        CHECK(env, napi_get_undefined(env, &value));
    }
    return value;
}

napi_value texts_value(napi_env env, const fanfare_text *texts, size_t count) {
    napi_value array;
    CHECK(env, napi_create_array_with_length(env, count, &array));
    for (size_t i = 0; i < count; i++) {
        napi_value text = text_value(env, texts[i]);
        if (!text) {
            return NULL;
        }
        CHECK(env, napi_set_element(env, array, (uint32_t)i, text));
    }
    return array;
}

napi_value headers_value(napi_env env, const fanfare_header *headers, size_t count) {
    napi_value array;
    CHECK(env, napi_create_array_with_length(env, count, &array));
    for (size_t i = 0; i < count; i++) {
        fanfare_text pair[] = {headers[i].name, headers[i].value};
        napi_value field = texts_value(env, pair, COUNT_OF(pair));
        if (!field) {
            return NULL;
        }
        CHECK(env, napi_set_element(env, array, (uint32_t)i, field));
    }
    return array;
}

napi_value bytes_value(napi_env env, fanfare_text bytes) {
    napi_value value;
    CHECK(env, napi_create_buffer_copy(env, bytes.length, bytes.data ? bytes.data : "", NULL,
                                       &value));
    return value;
}

napi_value id_value(napi_env env, const fanfare_event_id *id) {
    napi_value value;
    CHECK(env, napi_create_string_latin1(env, id->text, id->length, &value));
    return value;
}

bool set_value(napi_env env, napi_value object, const char *name, napi_value value) {
    if (!value) {
        return false;
    }
    TRY(env, napi_set_named_property(env, object, name, value));
    return true;
}

bool set_text(napi_env env, napi_value object, const char *name, fanfare_text text) {
    return set_value(env, object, name, text_value(env, text));
}

bool set_string(napi_env env, napi_value object, const char *name, const char *string) {
    return set_text(env, object, name, fanfare_text_of_string(string));
}

bool set_number(napi_env env, napi_value object, const char *name, double number) {
    napi_value value;
    TRY(env, napi_create_double(env, number, &value));
    return set_value(env, object, name, value);
}

bool set_id(napi_env env, napi_value object, const char *name, uint64_t id) {
    napi_value value;
    TRY(env, napi_create_bigint_uint64(env, id, &value));
    return set_value(env, object, name, value);
}

bool set_bool(napi_env env, napi_value object, const char *name, bool flag) {
    napi_value value;
    TRY(env, napi_get_boolean(env, flag, &value));
    return set_value(env, object, name, value);
}
