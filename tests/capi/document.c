#include "document.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row's cells, of the longest line that there may be. */
typedef struct {
    char line[1024];
    char *name, *kind, *preset;
} row;

/* What a unit is in the ABI's units, which are milliseconds and bytes. */
static const struct {
    const char *name;
    uint64_t scale;
} units[] = {
    {"", 1},     {"ms", 1},        {"s", 1000},      {"min", 60000},  {"day", 86400000},
    {"byte", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
};

static int is_number(const row *row)
{
    return strcmp(row->kind, "count") == 0 || strcmp(row->kind, "bytes") == 0
           || strcmp(row->kind, "time") == 0 || strcmp(row->kind, "percent") == 0;
}

/* The next row of the engine's table; 0 at its end. */
static int next_row(FILE *document, row *row)
{
    while (fgets(row->line, sizeof row->line, document) != NULL) {
        char *bounds;

        CHECK(strchr(row->line, '\n') != NULL);
        if (strncmp(row->line, "## A rule", strlen("## A rule")) == 0) {
            return 0;
        }
        if (strncmp(row->line, "| `", 3) == 0) {
            row->name = strtok(row->line, "|` ");
            row->kind = strtok(NULL, "|` ");
            bounds = strtok(NULL, "|");
            row->preset = strtok(NULL, "|");
            CHECK(row->name != NULL && row->kind != NULL && bounds != NULL && row->preset != NULL);
            return 1;
        }
    }
    return 0;
}

static FILE *open_document(void)
{
    FILE *document = fopen("docs/options.md", "r");

    CHECK(document != NULL);
    return document;
}

/* "1,000", "40 KiB" or "15 s", with spaces around it. */
static uint64_t amount(const char *text)
{
    uint64_t number = 0;
    char unit[16] = "";
    size_t i;

    text += strspn(text, " ");
    for (; (*text >= '0' && *text <= '9') || *text == ','; text++) {
        number = *text == ',' ? number : number * 10 + (uint64_t)(*text - '0');
    }
    text += strspn(text, " ");
    for (i = 0; i < sizeof unit - 1 && text[i] != ' ' && text[i] != '\0'; i++) {
        unit[i] = text[i];
    }
    for (i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            return number * units[i].scale;
        }
    }
    check_failed(__FILE__, __LINE__, unit);
    return 0;
}

uint64_t document_default(const char *option)
{
    FILE *document = open_document();
    uint64_t value = 0;
    int found = 0;
    row row;

    while (!found && next_row(document, &row)) {
        char name[64];

        snprintf(name, sizeof name, "%s%s", row.name, strcmp(row.kind, "time") == 0 ? "_ms" : "");
        found = is_number(&row) && strcmp(name, option) == 0;
    }
    CHECK(fclose(document) == 0);
    if (!found) {
        check_failed("docs/options.md", 0, option);
    } else if (strcmp(option, "shards") != 0) {
        value = amount(row.preset);
    }
    return value;
}

size_t document_count(void)
{
    FILE *document = open_document();
    size_t count = 0;
    row row;

    while (next_row(document, &row)) {
        count += (size_t)is_number(&row);
    }
    CHECK(fclose(document) == 0);
    return count;
}
