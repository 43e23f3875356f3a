/* The calls of keys, tokens, tickets and authorizers. */

#include "calls.h"

FREE_TWICE(signing_key, key)
FREE_TWICE(tokens, tokens)
FREE_TWICE(tickets, tickets)
FREE_TWICE(granted, granted)
FREE_TWICE(authorizer, authorizer)

static fanfare_status signing_key_new_and_free(const objects *of)
{
    fanfare_signing_key *made = NULL;
    fanfare_status status = fanfare_signing_key_new(OBJECTS_SECRET, &made);

    (void)of;
    fanfare_signing_key_free(made);
    return status;
}

static fanfare_status tokens_new_and_free(const objects *of)
{
    const fanfare_key keys = objects_key();
    fanfare_tokens *made = NULL;
    fanfare_status status = fanfare_tokens_new(&keys, 1, NULL, &made);

    (void)of;
    fanfare_tokens_free(made);
    return status;
}

static fanfare_status tickets_new_and_free(const objects *of)
{
    fanfare_tickets *made = NULL;
    fanfare_status status = fanfare_tickets_new(NULL, &made);

    (void)of;
    fanfare_tickets_free(made);
    return status;
}

static fanfare_status authorizer_new_and_free(const objects *of)
{
    fanfare_authorizer *made = NULL;
    fanfare_status status =
        fanfare_authorizer_new_tickets(of->tokens, of->tickets, NULL, &made);

    fanfare_authorizer_free(made);
    return status;
}

static fanfare_status authorizer_new_ask(const objects *of)
{
    fanfare_authorizer *made = NULL;
    fanfare_status status = fanfare_authorizer_new_ask(of->notices, 4, NULL, &made);

    fanfare_authorizer_free(made);
    return status;
}

static fanfare_status signing_key_sign(const objects *of)
{
    fanfare_grant granted = objects_grant();
    char buffer[1024];
    size_t length;

    return fanfare_signing_key_sign(of->key, &granted, NULL, buffer, sizeof buffer, &length);
}

static fanfare_status tokens_set_keys(const objects *of)
{
    const fanfare_key keys = objects_key();

    return fanfare_tokens_set_keys(of->tokens, &keys, 1);
}

static fanfare_status tokens_verify(const objects *of)
{
    fanfare_granted *granted = NULL;
    fanfare_status status = fanfare_tokens_verify(
        of->tokens, fanfare_text_of(of->token, of->token_length), &granted);

    fanfare_granted_free(granted);
    return status;
}

static fanfare_status tickets_issue(const objects *of)
{
    fanfare_grant granted = objects_grant();
    fanfare_ticket ticket;

    return fanfare_tickets_issue(of->tickets, &granted, &ticket);
}

static fanfare_status tickets_look_up(const objects *of)
{
    fanfare_grant of_ticket = objects_grant();
    fanfare_granted *granted = NULL;
    fanfare_ticket ticket;
    fanfare_status status = fanfare_tickets_issue(of->tickets, &of_ticket, &ticket);

    if (status == FANFARE_OK) {
        status = fanfare_tickets_look_up(of->tickets, fanfare_ticket_text(&ticket), 0, &granted);
        fanfare_granted_free(granted);
    }
    return status;
}

static fanfare_status tickets_look_up_in_child(const objects *of)
{
    fanfare_granted *granted = NULL;

    return fanfare_tickets_look_up(of->tickets, FANFARE_TEXT("any"), 0, &granted);
}

static fanfare_status tickets_redeem(const objects *of)
{
    fanfare_grant of_ticket = objects_grant();
    fanfare_granted *granted = NULL;
    fanfare_ticket ticket;
    fanfare_status status = fanfare_tickets_issue(of->tickets, &of_ticket, &ticket);

    if (status == FANFARE_OK) {
        status = fanfare_tickets_redeem(of->tickets, fanfare_ticket_text(&ticket), 0, &granted);
        fanfare_granted_free(granted);
    }
    return status;
}

static fanfare_status tickets_redeem_in_child(const objects *of)
{
    fanfare_granted *granted = NULL;

    return fanfare_tickets_redeem(of->tickets, FANFARE_TEXT("any"), 0, &granted);
}

static fanfare_status authorizer_allow(const objects *of)
{
    fanfare_grant granted = objects_grant();

    return fanfare_authorizer_allow(of->asking, 7, &granted);
}

static fanfare_status authorizer_refuse(const objects *of)
{
    fanfare_refusal refusal = fanfare_refusal_of(403);

    return fanfare_authorizer_refuse(of->asking, 7, &refusal);
}

static fanfare_status authorizer_give_up(const objects *of)
{
    return fanfare_authorizer_give_up(of->asking, 7);
}

static fanfare_status granted_grant(const objects *of)
{
    fanfare_grant granted = fanfare_grant_of(NULL, 0);

    return fanfare_granted_grant(of->granted, &granted);
}

static fanfare_status granted_is_current(const objects *of)
{
    uint32_t is_current;

    return fanfare_granted_is_current(of->granted, &is_current);
}

const call calls_of_tokens[] = {
    {"fanfare_authorizer_new_ask", authorizer_new_ask, FORKED, 0},
    {"fanfare_authorizer_allow", authorizer_allow, FORKED, CALL_STALE},
    {"fanfare_authorizer_refuse", authorizer_refuse, FORKED, CALL_STALE},
    {"fanfare_authorizer_give_up", authorizer_give_up, FORKED, CALL_STALE},
    {"fanfare_signing_key_new", signing_key_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_signing_key_free", signing_key_new_and_free, signing_key_free, FANFARE_OK, 0},
    {"fanfare_tokens_new", tokens_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_tokens_free", tokens_new_and_free, tokens_free, FANFARE_OK, 0},
    {"fanfare_tickets_new", tickets_new_and_free, AS_EVER, CALL_ALLOCATES},
    {"fanfare_tickets_free", tickets_new_and_free, tickets_free, FANFARE_OK, 0},
    {"fanfare_granted_free", tokens_verify, granted_free, FANFARE_OK, 0},
    {"fanfare_authorizer_new_tickets", authorizer_new_and_free, FORKED, 0},
    {"fanfare_authorizer_free", authorizer_new_and_free, authorizer_free, FANFARE_OK, 0},
    {"fanfare_signing_key_sign", signing_key_sign, FORKED, 0},
    {"fanfare_tokens_set_keys", tokens_set_keys, FORKED, 0},
    {"fanfare_tokens_verify", tokens_verify, FORKED, 0},
    {"fanfare_tickets_issue", tickets_issue, FORKED, 0},
    {"fanfare_tickets_look_up", tickets_look_up, tickets_look_up_in_child, FANFARE_ERR_FORKED, 0},
    {"fanfare_tickets_redeem", tickets_redeem, tickets_redeem_in_child, FANFARE_ERR_FORKED, 0},
    {"fanfare_granted_grant", granted_grant, FORKED, 0},
    {"fanfare_granted_is_current", granted_is_current, FORKED, 0},
    CALLS_END,
};
