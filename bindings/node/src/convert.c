/* From JavaScript: texts, numbers and lists, with errors that name the argument or option.
 *
 * Reading an object may run code of the program's, which may detach or change any buffer. So bytes
 * are copied as soon as they are seen, and only the copy is checked and used.
 */

#include "addon.h"

napi_value args_of(napi_env env, napi_callback_info info, size_t count, napi_value *args) {
    size_t argc = count;
    napi_value this;
    CHECK(env, napi_get_cb_info(env, info, &argc, args, &this, NULL));
    return this;
}

bool is_absent(napi_env env, napi_value value, bool *absent) {
    napi_valuetype type;
    TRY(env, napi_typeof(env, value, &type));
    *absent = type == napi_undefined;
    return true;
}

bool number_read(napi_env env, napi_value value, const char *what, double max, bool *is_whole,
                 uint64_t *out) {
    double number = 0;
    if (napi_get_value_double(env, value, &number) != napi_ok) {
        throw_type(env, "%s must be a number", what);
        return false;
    }
    *is_whole = number >= 0 && number <= max && (double)(uint64_t)number == number;
    *out = *is_whole ? (uint64_t)number : 0;
    return true;
}

bool flag_read(napi_env env, napi_value value, const char *what, uint64_t *out) {
    bool flag = false;
    if (napi_get_value_bool(env, value, &flag) != napi_ok) {
        throw_type(env, "%s must be a boolean", what);
        return false;
    }
    *out = flag;
    return true;
}

bool id_read(napi_env env, napi_value value, const char *what, uint64_t *out) {
    bool lossless = false;
    if (napi_get_value_bigint_uint64(env, value, out, &lossless) != napi_ok) {
        throw_type(env, "%s must be a bigint", what);
        return false;
    }
    /* What the ABI has no number for is the id of none. */
    *out = lossless ? *out : 0;
    return true;
}

bool fd_read(napi_env env, napi_value value, const char *what, int *out) {
    uint64_t number = 0;
    bool is_whole = false;
    if (!number_read(env, value, what, INT32_MAX, &is_whole, &number)) {
        return false;
    }
    *out = is_whole ? (int)number : -1;
    return true;
}

static bool string_read(napi_env env, memory *given, napi_value value, fanfare_text *out) {
    size_t length = 0;
    TRY(env, napi_get_value_string_utf8(env, value, NULL, 0, &length));
    char *copy = memory_take(env, given, length + 1);
    if (!copy) {
        return false;
    }
    TRY(env, napi_get_value_string_utf8(env, value, copy, length + 1, &length));
    *out = fanfare_text_of(copy, length);
    return true;
}

static bool bytes_read(napi_env env, memory *given, napi_value value, fanfare_text *out,
                       bool *are_bytes) {
    napi_typedarray_type kind;
    void *data = NULL;
    size_t length = 0;
    *are_bytes = napi_get_typedarray_info(env, value, &kind, &length, &data, NULL, NULL) == napi_ok &&
                 kind == napi_uint8_array;
    if (!*are_bytes) {
        return true;
    }
    char *copy = memory_take(env, given, length + 1);
    if (!copy) {
        return false;
    }
    if (length > 0) {
        memcpy(copy, data, length);
    }
    *out = fanfare_text_of(copy, length);
    return true;
}

bool text_read(napi_env env, memory *given, napi_value value, const char *what, bool bytes,
               fanfare_text *out) {
    napi_valuetype type;
    *out = fanfare_text_of(NULL, 0);
    TRY(env, napi_typeof(env, value, &type));
    if (type == napi_undefined) {
        return true;
    }
    if (type == napi_string) {
        return string_read(env, given, value, out);
    }
    bool are_bytes = false;
    if (bytes && type == napi_object && !bytes_read(env, given, value, out, &are_bytes)) {
        return false;
    }
    if (!are_bytes) {
        throw_type(env, bytes ? "%s must be a string or a Uint8Array" : "%s must be a string", what);
    }
    return are_bytes;
}

bool required_read(napi_env env, memory *given, napi_value value, const char *what,
                   fanfare_text *out) {
    if (!text_read(env, given, value, what, false, out)) {
        return false;
    }
    if (!out->data) {
        throw_type(env, "%s must be a string", what);
        return false;
    }
    return true;
}

bool texts_read(napi_env env, memory *given, napi_value value, const char *what,
                const fanfare_text **out, size_t *count) {
    bool is_array = false;
    uint32_t length = 1;
    char each[96];
    TRY(env, napi_is_array(env, value, &is_array));
    if (is_array) {
        TRY(env, napi_get_array_length(env, value, &length));
    }
    fanfare_text *texts = memory_take(env, given, ((size_t)length + 1) * sizeof(*texts));
    if (!texts) {
        return false;
    }
    if (!is_array) {
        napi_valuetype type;
        TRY(env, napi_typeof(env, value, &type));
        if (type != napi_string) {
            throw_type(env, "%s must be a string or an array of strings", what);
            return false;
        }
    }
    snprintf(each, sizeof(each), "each of %s", what);
    for (uint32_t i = 0; i < length; i++) {
        napi_value element = value;
        if (is_array) {
            TRY(env, napi_get_element(env, value, i, &element));
        }
        if (!required_read(env, given, element, each, &texts[i])) {
            return false;
        }
    }
    *out = texts;
    *count = length;
    return true;
}

/* Reads the fields of an array of pairs. */
static bool pairs_read(napi_env env, memory *given, napi_value value, const char *what,
                       fanfare_header *headers, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        napi_value pair, part;
        bool is_array = false;
        TRY(env, napi_get_element(env, value, i, &pair));
        TRY(env, napi_is_array(env, pair, &is_array));
        if (!is_array) {
            throw_type(env, "each of %s must be a pair of strings", what);
            return false;
        }
        fanfare_text *parts[] = {&headers[i].name, &headers[i].value};
        for (uint32_t j = 0; j < COUNT_OF(parts); j++) {
            TRY(env, napi_get_element(env, pair, j, &part));
            if (!required_read(env, given, part, what, parts[j])) {
                return false;
            }
        }
    }
    return true;
}

bool headers_read(napi_env env, memory *given, napi_value value, const char *what,
                  const fanfare_header **out, size_t *count) {
    napi_valuetype type;
    bool is_array = false;
    uint32_t length = 0;
    napi_value keys = value;
    TRY(env, napi_typeof(env, value, &type));
    if (type != napi_object) {
        throw_type(env, "%s must be an object of strings or an array of pairs", what);
        return false;
    }
    TRY(env, napi_is_array(env, value, &is_array));
    if (!is_array) {
        TRY(env, napi_get_all_property_names(env, value, napi_key_own_only,
                                             napi_key_enumerable | napi_key_skip_symbols,
                                             napi_key_numbers_to_strings, &keys));
    }
    TRY(env, napi_get_array_length(env, keys, &length));
    fanfare_header *headers = memory_take(env, given, ((size_t)length + 1) * sizeof(*headers));
    if (!headers) {
        return false;
    }
    *out = headers;
    *count = length;
    if (is_array) {
        return pairs_read(env, given, value, what, headers, length);
    }
    for (uint32_t i = 0; i < length; i++) {
        napi_value key, field;
        TRY(env, napi_get_element(env, keys, i, &key));
        TRY(env, napi_get_property(env, value, key, &field));
        if (!required_read(env, given, key, what, &headers[i].name) ||
            !required_read(env, given, field, what, &headers[i].value)) {
            return false;
        }
    }
    return true;
}
