/* A struct of the ABI from an object: its fields by their names, which specs.c has. */

#include "addon.h"

#define NUMBER_BOUNDS "a whole number from 0 to 2^53 - 1"

const char *choice_name(const choice *choices, uint32_t value) {
    for (; choices->name; choices++) {
        if (choices->value == value) {
            return choices->name;
        }
    }
    return NULL;
}

/* Throws for a name that is none of the choices, all of which it names. */
static bool refuse_choice(napi_env env, const spec *spec, const field *field) {
    char bounds[256] = "";
    size_t length = 0;
    for (const choice *choice = field->choices; choice->name; choice++) {
        const char *before = choice == field->choices ? "" : choice[1].name ? ", " : " or ";
        length += (size_t)snprintf(bounds + length, sizeof(bounds) - length, "%s%s", before,
                                   choice->name);
    }
    throw_option(env, spec->code, field->name, fanfare_text_of(bounds, length));
    return false;
}

static bool choice_read(napi_env env, memory *given, napi_value value, const spec *spec,
                        const field *field, uint32_t *out) {
    fanfare_text name;
    if (!text_read(env, given, value, field->name, false, &name)) {
        return false;
    }
    for (const choice *choice = field->choices; choice->name; choice++) {
        if (name.data && strlen(choice->name) == name.length &&
            memcmp(choice->name, name.data, name.length) == 0) {
            *out = choice->value;
            return true;
        }
    }
    return refuse_choice(env, spec, field);
}

static bool choices_read(napi_env env, memory *given, napi_value value, const spec *spec,
                         const field *field, uint32_t *out) {
    bool is_array = false;
    uint32_t length = 0;
    TRY(env, napi_is_array(env, value, &is_array));
    if (!is_array) {
        throw_type(env, "%s must be an array of strings", field->name);
        return false;
    }
    TRY(env, napi_get_array_length(env, value, &length));
    uint32_t bits = FANFARE_POLICIES_THESE;
    for (uint32_t i = 0; i < length; i++) {
        napi_value element;
        uint32_t chosen = 0;
        TRY(env, napi_get_element(env, value, i, &element));
        if (!choice_read(env, given, element, spec, field, &chosen)) {
            return false;
        }
        bits |= (uint32_t)1 << chosen;
    }
    *out = bits;
    return true;
}

/* Reads a name of where a stream begins, or a number of its newest events. */
static bool start_read(napi_env env, memory *given, napi_value value, const spec *spec,
                       const field *field, uint32_t *out, uint32_t *last) {
    static const choice STARTS[] = {{"now", FANFARE_START_NOW},
                                    {"latest", FANFARE_START_LATEST},
                                    {"earliest", FANFARE_START_EARLIEST},
                                    {NULL, 0}};
    static const fanfare_text BOUNDS = {"now, latest, earliest or a number of events", 43};
    napi_valuetype type;
    TRY(env, napi_typeof(env, value, &type));
    if (type == napi_number) {
        uint64_t number = 0;
        bool is_whole = false;
        if (!number_read(env, value, field->name, UINT32_MAX, &is_whole, &number)) {
            return false;
        }
        if (is_whole) {
            *out = FANFARE_START_LAST;
            *last = (uint32_t)number;
            return true;
        }
    } else if (type == napi_string) {
        fanfare_text name;
        if (!text_read(env, given, value, field->name, false, &name)) {
            return false;
        }
        for (const choice *choice = STARTS; choice->name; choice++) {
            if (strlen(choice->name) == name.length &&
                memcmp(choice->name, name.data, name.length) == 0) {
                *out = choice->value;
                return true;
            }
        }
    } else {
        throw_type(env, "%s must be a string or a number", field->name);
        return false;
    }
    throw_option(env, spec->code, field->name, BOUNDS);
    return false;
}

/* Reads a Date, or a number of milliseconds since 1970. Before 1970 is long ago as well. */
static bool moment_read(napi_env env, napi_value value, const spec *spec, const field *field,
                        uint64_t *out) {
    bool is_date = false;
    double moment = 0;
    TRY(env, napi_is_date(env, value, &is_date));
    napi_status status = is_date ? napi_get_date_value(env, value, &moment)
                                 : napi_get_value_double(env, value, &moment);
    if (status != napi_ok) {
        throw_type(env, "%s must be a Date or a number", field->name);
        return false;
    }
    if (!(moment <= SAFE_INTEGER_MAX)) {
        throw_option(env, spec->code, field->name, FANFARE_TEXT("a Date, or milliseconds since 1970"));
        return false;
    }
    /* 0 is never. */
    *out = moment < 1 ? 1 : (uint64_t)moment;
    return true;
}

static bool routes_read(napi_env env, memory *given, napi_value value, const field *field,
                        const fanfare_route **out, size_t *count) {
    bool is_array = false;
    uint32_t length = 0;
    TRY(env, napi_is_array(env, value, &is_array));
    if (!is_array) {
        throw_type(env, "%s must be an array of objects", field->name);
        return false;
    }
    TRY(env, napi_get_array_length(env, value, &length));
    fanfare_route *routes = memory_take(env, given, ((size_t)length + 1) * sizeof(*routes));
    if (!routes) {
        return false;
    }
    for (uint32_t i = 0; i < length; i++) {
        napi_value element;
        routes[i] = fanfare_route_of(FANFARE_TEXT(""));
        TRY(env, napi_get_element(env, value, i, &element));
        if (!struct_read(env, given, element, &ROUTE_SPEC, &routes[i])) {
            return false;
        }
    }
    *out = routes;
    *count = length;
    return true;
}

static bool number_field(napi_env env, napi_value value, const spec *spec, const field *field,
                         double max, uint64_t *out) {
    bool is_whole = false;
    if (!number_read(env, value, field->name, max, &is_whole, out)) {
        return false;
    }
    if (!is_whole) {
        throw_option(env, spec->code, field->name,
                     max > UINT32_MAX ? FANFARE_TEXT(NUMBER_BOUNDS)
                                      : FANFARE_TEXT("a whole number from 0 to 2^32 - 1"));
    }
    return is_whole;
}

static bool field_read(napi_env env, memory *given, napi_value value, const spec *spec,
                       const field *field, char *out) {
    void *target = out + field->offset;
    void *beside = out + field->beside;
    uint64_t number = 0;
    switch (field->kind) {
    case FIELD_U64: return number_field(env, value, spec, field, SAFE_INTEGER_MAX, target);
    case FIELD_U32:
        if (!number_field(env, value, spec, field, UINT32_MAX, &number)) {
            return false;
        }
        *(uint32_t *)target = (uint32_t)number;
        return true;
    case FIELD_FLAG:
        if (!flag_read(env, value, field->name, &number)) {
            return false;
        }
        *(uint32_t *)target = (uint32_t)number;
        return true;
    case FIELD_TEXT: return text_read(env, given, value, field->name, false, target);
    case FIELD_TEXTS: return texts_read(env, given, value, field->name, target, beside);
    case FIELD_HEADERS: return headers_read(env, given, value, field->name, target, beside);
    case FIELD_CHOICE: return choice_read(env, given, value, spec, field, target);
    case FIELD_CHOICES: return choices_read(env, given, value, spec, field, target);
    case FIELD_START: return start_read(env, given, value, spec, field, target, beside);
    case FIELD_MOMENT: return moment_read(env, value, spec, field, target);
    case FIELD_ROUTES: return routes_read(env, given, value, field, target, beside);
    case FIELD_AUTHORIZER: {
        object *authorizer = object_open(env, value, OBJECT_AUTHORIZER);
        if (authorizer) {
            *(const fanfare_authorizer **)target = authorizer->native;
        }
        return authorizer != NULL;
    }
    case FIELD_FALLBACK: {
        object *fallback = object_open(env, value, OBJECT_FALLBACK);
        if (fallback) {
            *(const fanfare_fallback **)target = fallback->native;
        }
        return fallback != NULL;
    }
    }
    return false;
}

/* Sets the field with the name `key`. */
static bool named_read(napi_env env, memory *given, napi_value object, napi_value key,
                       const spec *spec, void *out) {
    char name[64];
    napi_value value;
    bool absent = false;
    TRY(env, napi_get_value_string_utf8(env, key, name, sizeof(name), NULL));
    TRY(env, napi_get_property(env, object, key, &value));
    for (size_t i = 0; i < spec->count; i++) {
        if (strcmp(name, spec->fields[i].name) == 0) {
            if (!is_absent(env, value, &absent)) {
                return false;
            }
            return absent || field_read(env, given, value, spec, &spec->fields[i], out);
        }
    }
    char message[128];
    snprintf(message, sizeof(message), "%s has no option %%s", spec->what);
    throw_type(env, message, name);
    return false;
}

bool struct_read(napi_env env, memory *given, napi_value object, const spec *spec, void *out) {
    napi_valuetype type;
    napi_value keys;
    uint32_t count = 0;
    TRY(env, napi_typeof(env, object, &type));
    if (type == napi_undefined) {
        return true;
    }
    if (type != napi_object) {
        throw_type(env, "the options of %s must be an object", spec->what);
        return false;
    }
    TRY(env, napi_get_all_property_names(env, object, napi_key_own_only,
                                         napi_key_enumerable | napi_key_skip_symbols,
                                         napi_key_numbers_to_strings, &keys));
    TRY(env, napi_get_array_length(env, keys, &count));
    for (uint32_t i = 0; i < count; i++) {
        napi_value key;
        TRY(env, napi_get_element(env, keys, i, &key));
        if (!named_read(env, given, object, key, spec, out)) {
            return false;
        }
    }
    return true;
}
