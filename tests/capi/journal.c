/* Hubs whose events outlive them. */

#include "check.h"
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/fanfare-capi-XXXXXX";

static fanfare_options options_of_folder(void)
{
    fanfare_options options = fanfare_options_defaults();

    options.data_dir = fanfare_text_of(folder, strlen(folder));
    options.durability = FANFARE_DURABILITY_ALWAYS;
    options.shards = 1;
    return options;
}

/* Removes the folder, which has files alone. */
static void remove_folder(void)
{
    char command[sizeof folder + 16];

    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK_EQ(system(command), 0);
}

static void keeps_events(void)
{
    fanfare_options options;
    fanfare_hub *hub = NULL, *other = NULL;
    fanfare_event event = event_of("hello");
    fanfare_metrics metrics = fanfare_metrics_empty();
    fanfare_event_id id;
    client *client;
    received got;

    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    options = options_of_folder();
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_new(&options, &other), FANFARE_ERR_JOURNAL);
    CHECK(other == NULL);
    CHECK_EQ(fanfare_hub_publish(hub, FANFARE_TEXT("news"), &event, &id), FANFARE_OK);
    CHECK_EQ(fanfare_hub_flush(hub, DEADLINE_MS), FANFARE_OK);
    CHECK_EQ(fanfare_hub_metrics(hub, &metrics), FANFARE_OK);
    CHECK(metrics.journal_syncs > 0 && metrics.journal_disk_bytes > 0);
    CHECK_EQ(metrics.journal_failing, 0);
    fanfare_hub_free(hub);

    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    client = client_new(hub_listen(hub), "news&start=earliest");
    CHECK(client_next(client, &got));
    CHECK_TEXT(got.data, "hello");
    CHECK_ID(id, got.id);
    client_free(client);
    fanfare_hub_free(hub);
    remove_folder();
}

static void refused(void)
{
    fanfare_options options = fanfare_options_defaults();
    fanfare_text name, bounds;
    fanfare_hub *hub = NULL;

    CHECK_EQ(fanfare_hub_flush(NULL, 0), FANFARE_ERR_ARGUMENT);
    options.durability = 4;
    CHECK_EQ(fanfare_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.length == strlen("durability") && memcmp(name.data, "durability", name.length) == 0);
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_OPTIONS);
    options = fanfare_options_defaults();
    options.data_dir = FANFARE_TEXT("/no/such/folder/at/all");
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_ERR_JOURNAL);
    CHECK(hub == NULL);
    options.data_dir = fanfare_text_of(NULL, 0);
    CHECK_EQ(fanfare_hub_new(&options, &hub), FANFARE_OK);
    CHECK_EQ(fanfare_hub_flush(hub, 0), FANFARE_ERR_JOURNAL);
    fanfare_hub_free(hub);
}

const test tests_of_journal[] = {
    {"events are there in the next hub of their folder, with their ids", keeps_events},
    {"a folder or a promise that cannot be is refused, and a hub without one says so", refused},
    {NULL, NULL},
};
