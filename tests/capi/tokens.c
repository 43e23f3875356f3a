/* Tokens: keys, options and claims, and grants and refusals. */

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECRET "a secret of at least 32 bytes, from a random source"

/* In some seconds, whole seconds since 1970, as tokens count them. */
static uint64_t in_ms(int seconds)
{
    return (uint64_t)(time(NULL) + seconds) * 1000;
}

static fanfare_tokens *tokens_new(const char *secret)
{
    fanfare_key key = fanfare_key_of(FANFARE_KEY_FILE, fanfare_text_of_string(secret));
    fanfare_tokens *tokens = NULL;

    CHECK_EQ(fanfare_tokens_new(&key, 1, NULL, &tokens), FANFARE_OK);
    CHECK(tokens != NULL);
    return tokens;
}

/* Writes a token for a topic, with a NUL behind it. */
static void sign(const char *secret, const char *topic, int seconds, char *token, size_t size)
{
    fanfare_signing_key *key = NULL;
    fanfare_text topics[1] = {{NULL, 0}};
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    size_t length = 0;

    topics[0] = fanfare_text_of_string(topic);
    grant.expires_at_unix_ms = in_ms(seconds);
    grant.tag = FANFARE_TEXT("user 7");
    grant.policy = FANFARE_POLICY_CONFLATE;
    CHECK_EQ(fanfare_signing_key_new(fanfare_text_of_string(secret), &key), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_sign(key, &grant, NULL, token, size - 1, &length), FANFARE_OK);
    token[length] = '\0';
    fanfare_signing_key_free(key);
}

static void verified(void)
{
    fanfare_tokens *tokens = tokens_new(SECRET);
    fanfare_granted *granted = NULL, *none = NULL;
    fanfare_grant grant;
    char token[2000], another[2000];
    uint32_t is_current = 7;

    sign(SECRET, "user/7/#", 300, token, sizeof token);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(token), &granted), FANFARE_OK);
    grant = fanfare_grant_of(NULL, 0);
    CHECK_EQ(fanfare_granted_grant(granted, &grant), FANFARE_OK);
    CHECK_EQ(grant.size, sizeof grant);
    CHECK_EQ(grant.topics_count, 1);
    CHECK(text_is(grant.topics[0], "user/7/#"));
    CHECK(text_is(grant.tag, "user 7"));
    CHECK_EQ(grant.policy, FANFARE_POLICY_CONFLATE);
    CHECK(grant.expires_at_unix_ms > in_ms(200) && grant.expires_at_unix_ms <= in_ms(300));
    CHECK_EQ(fanfare_granted_is_current(granted, &is_current), FANFARE_OK);
    CHECK_EQ(is_current, 1);
    grant.size = sizeof(size_t);
    CHECK_EQ(fanfare_granted_grant(granted, &grant), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_granted_grant(granted, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_granted_grant(NULL, &grant), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_granted_is_current(NULL, &is_current), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_granted_is_current(granted, NULL), FANFARE_ERR_ARGUMENT);
    fanfare_granted_free(granted);
    fanfare_granted_free(NULL);

    sign("another secret, of at least 32 bytes as well", "user/7/#", 300, another, sizeof another);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(another), &none),
             FANFARE_ERR_TOKEN);
    sign(SECRET, "user/7/#", -10, another, sizeof another);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(another), &none),
             FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tokens_verify(tokens, FANFARE_TEXT("a.b.c"), &none), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tokens_verify(tokens, FANFARE_TEXT("\xff"), &none), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of(NULL, 0), &none), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of(token, 8193), &none), FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of(NULL, 1), &none), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tokens_verify(NULL, fanfare_text_of_string(token), &none),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(token), NULL),
             FANFARE_ERR_ARGUMENT);
    CHECK(none == NULL);
    fanfare_tokens_free(tokens);
    fanfare_tokens_free(NULL);
}

static void keys(void)
{
    static const char jwks[] =
        "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"a\", \"x\": "
        "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    fanfare_tokens *tokens = NULL, *const untouched = (fanfare_tokens *)(void *)&tokens;
    fanfare_granted *granted = NULL;
    fanfare_key keys[65];
    char problem[300], token[2000];
    size_t length = 7, i;

    tokens = untouched;
    keys[0] = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT("short"));
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, &tokens), FANFARE_ERR_KEY);
    CHECK_EQ(fanfare_keys_problem(keys, 1, problem, sizeof problem, &length), FANFARE_OK);
    CHECK(length > 0 && length < sizeof problem);
    problem[length] = '\0';
    CHECK(strstr(problem, "5 bytes") != NULL);
    CHECK_EQ(fanfare_keys_problem(keys, 1, NULL, 0, &length), FANFARE_ERR_BUFFER);
    CHECK_EQ(length, strlen(problem));
    CHECK_EQ(fanfare_keys_problem(keys, 1, problem, length - 1, &length), FANFARE_ERR_BUFFER);
    CHECK_EQ(fanfare_keys_problem(keys, 1, NULL, 5, &length), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_keys_problem(keys, 1, problem, sizeof problem, NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_keys_problem(NULL, 1, problem, sizeof problem, &length), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_keys_problem(keys, 66, problem, sizeof problem, &length),
             FANFARE_ERR_TOO_MANY);
    keys[0] = fanfare_key_of(FANFARE_KEY_JWKS, FANFARE_TEXT("{}"));
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, &tokens), FANFARE_ERR_KEY);
    CHECK_EQ(fanfare_tokens_new(keys, 0, NULL, &tokens), FANFARE_ERR_KEY);
    CHECK_EQ(fanfare_tokens_new(NULL, 1, NULL, &tokens), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, NULL), FANFARE_ERR_ARGUMENT);
    keys[0] = fanfare_key_of(3, FANFARE_TEXT(SECRET));
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, &tokens), FANFARE_ERR_ARGUMENT);
    keys[0] = fanfare_key_of(FANFARE_KEY_FILE, fanfare_text_of(NULL, 0));
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, &tokens), FANFARE_ERR_ARGUMENT);
    keys[0] = fanfare_key_of(FANFARE_KEY_FILE, fanfare_text_of(problem, (256 << 10) + 1));
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, &tokens), FANFARE_ERR_KEY);
    keys[0] = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT(SECRET));
    keys[0].reserved = 1;
    CHECK_EQ(fanfare_tokens_new(keys, 1, NULL, &tokens), FANFARE_ERR_ARGUMENT);
    for (i = 0; i < 65; i++) {
        keys[i] = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT(SECRET));
    }
    CHECK_EQ(fanfare_tokens_new(keys, 2, NULL, &tokens), FANFARE_ERR_KEY);
    CHECK_EQ(fanfare_tokens_new(keys, 65, NULL, &tokens), FANFARE_ERR_TOO_MANY);
    CHECK(tokens == untouched);

    keys[1] = fanfare_key_of(FANFARE_KEY_JWKS, fanfare_text_of_string(jwks));
    CHECK_EQ(fanfare_keys_problem(keys, 2, NULL, 0, &length), FANFARE_OK);
    CHECK_EQ(length, 0);
    CHECK_EQ(fanfare_tokens_new(keys, 2, NULL, &tokens), FANFARE_OK);
    sign(SECRET, "t", 300, token, sizeof token);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(token), &granted), FANFARE_OK);
    fanfare_granted_free(granted);
    /* With other keys the same token is not valid; keys that are wrong change nothing. */
    keys[2] = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT("short"));
    CHECK_EQ(fanfare_tokens_set_keys(tokens, &keys[2], 1), FANFARE_ERR_KEY);
    CHECK_EQ(fanfare_tokens_set_keys(NULL, &keys[1], 1), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(token), &granted), FANFARE_OK);
    fanfare_granted_free(granted);
    CHECK_EQ(fanfare_tokens_set_keys(tokens, &keys[1], 1), FANFARE_OK);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of_string(token), &granted),
             FANFARE_ERR_TOKEN);
    fanfare_tokens_free(tokens);
}

static void token_options(void)
{
    fanfare_token_options options = fanfare_token_options_defaults();
    fanfare_key key = fanfare_key_of(FANFARE_KEY_FILE, FANFARE_TEXT(SECRET));
    fanfare_token_claims claims = fanfare_token_claims_none();
    fanfare_signing_key *signing = NULL;
    fanfare_tokens *tokens = NULL;
    fanfare_granted *granted = NULL;
    fanfare_text audiences[1], topics[1] = {{NULL, 0}}, name, bounds;
    fanfare_grant grant = fanfare_grant_of(topics, 1);
    char token[2000];
    size_t length = 0;

    topics[0] = FANFARE_TEXT("t");
    audiences[0] = FANFARE_TEXT("events");
    CHECK_EQ(options.leeway_ms, 5000);
    options.audiences = audiences;
    options.audiences_count = 1;
    options.claim = FANFARE_TEXT("streams");
    CHECK_EQ(fanfare_token_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    CHECK_EQ(fanfare_tokens_new(&key, 1, &options, &tokens), FANFARE_OK);
    CHECK_EQ(fanfare_signing_key_new(FANFARE_TEXT(SECRET), &signing), FANFARE_OK);
    grant.expires_at_unix_ms = in_ms(300);
    claims.audience = FANFARE_TEXT("events");
    claims.issuer = FANFARE_TEXT("me");
    claims.subject = FANFARE_TEXT("7");
    claims.claim = FANFARE_TEXT("streams");
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, &claims, token, sizeof token, &length),
             FANFARE_OK);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of(token, length), &granted), FANFARE_OK);
    fanfare_granted_free(granted);
    claims.not_before_unix_ms = in_ms(100);
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, &claims, token, sizeof token, &length),
             FANFARE_OK);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of(token, length), &granted),
             FANFARE_ERR_TOKEN);
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, NULL, token, sizeof token, &length),
             FANFARE_OK);
    CHECK_EQ(fanfare_tokens_verify(tokens, fanfare_text_of(token, length), &granted),
             FANFARE_ERR_TOKEN);
    fanfare_tokens_free(tokens);
    tokens = NULL;

#define WRONG(field, value) \
    do { \
        options = fanfare_token_options_defaults(); \
        options.field = value; \
        CHECK_EQ(fanfare_tokens_new(&key, 1, &options, &tokens), FANFARE_ERR_OPTIONS); \
        CHECK_EQ(fanfare_token_options_problem(&options, &name, &bounds), FANFARE_OK); \
        CHECK(text_is(name, #field) && bounds.length > 0); \
    } while (0)
    WRONG(claim, FANFARE_TEXT("exp"));
    WRONG(claim, FANFARE_TEXT(""));
    WRONG(leeway_ms, 300001);
#undef WRONG
    options = fanfare_token_options_defaults();
    options.issuers = audiences;
    options.issuers_count = 65;
    CHECK_EQ(fanfare_token_options_problem(&options, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "issuers"));
    options.size = 1;
    CHECK_EQ(fanfare_token_options_problem(&options, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_token_options_init(&options), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_token_options_init(NULL), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_token_options_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);

    /* What cannot be signed. */
    length = 77;
    CHECK_EQ(fanfare_signing_key_sign(NULL, &grant, NULL, token, sizeof token, &length),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_signing_key_sign(signing, NULL, NULL, token, sizeof token, &length),
             FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, NULL, token, sizeof token, NULL),
             FANFARE_ERR_ARGUMENT);
    claims.size = 1;
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, &claims, token, sizeof token, &length),
             FANFARE_ERR_ARGUMENT);
    claims.size = sizeof claims;
    claims.kid = FANFARE_TEXT("\xff");
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, &claims, token, sizeof token, &length),
             FANFARE_ERR_OPTIONS);
    grant.any_topics = 1;
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, NULL, token, sizeof token, &length),
             FANFARE_ERR_GRANT);
    grant.any_topics = 0;
    grant.expires_at_unix_ms = 0;
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, NULL, token, sizeof token, &length),
             FANFARE_ERR_GRANT);
    CHECK_EQ(length, 77);
    grant.expires_at_unix_ms = in_ms(9);
    CHECK_EQ(fanfare_signing_key_sign(signing, &grant, NULL, NULL, 0, &length), FANFARE_ERR_BUFFER);
    CHECK(length > 77);
    fanfare_signing_key_free(signing);
    fanfare_signing_key_free(NULL);
    signing = NULL;
    CHECK_EQ(fanfare_signing_key_new(FANFARE_TEXT("short"), &signing), FANFARE_ERR_KEY);
    CHECK_EQ(fanfare_signing_key_new(fanfare_text_of(NULL, 0), &signing), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_signing_key_new(fanfare_text_of(NULL, 1), &signing), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_signing_key_new(FANFARE_TEXT(SECRET), NULL), FANFARE_ERR_ARGUMENT);
    CHECK(signing == NULL);
}

static void grants(void)
{
    static fanfare_text many[1025];
    fanfare_header header = fanfare_header_of(FANFARE_TEXT("Content-Type"), FANFARE_TEXT("a"));
    fanfare_text topics[1] = {{NULL, 0}}, name, bounds;
    fanfare_grant grant;
    fanfare_refusal refusal;
    size_t i;

#define WRONG(field, value, part) \
    do { \
        grant = fanfare_grant_of(topics, 1); \
        grant.headers = &header; \
        grant.field = value; \
        CHECK_EQ(fanfare_grant_problem(&grant, &name, &bounds), FANFARE_OK); \
        CHECK(text_is(name, part) && bounds.length > 0); \
    } while (0)
    topics[0] = FANFARE_TEXT("t");
    WRONG(tag, FANFARE_TEXT(""), "tag");
    WRONG(headers_count, 1, "headers");
    WRONG(any_topics, 2, "any_topics");
    WRONG(policy, 4, "policy");
    WRONG(start, 5, "start");
    for (i = 0; i < 1025; i++) {
        many[i] = topics[0];
    }
    grant = fanfare_grant_of(many, 1025);
    CHECK_EQ(fanfare_grant_problem(&grant, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "topics"));
    grant = fanfare_grant_of(many, 1024);
    CHECK_EQ(fanfare_grant_problem(&grant, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    topics[0] = FANFARE_TEXT("#/t");
    WRONG(policy, 0, "topics");
#undef WRONG
    grant.size = 1;
    CHECK_EQ(fanfare_grant_problem(&grant, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_grant_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);

    refusal = fanfare_refusal_of(200);
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "status"));
    refusal = fanfare_refusal_of(65536 + 403);
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "status"));
    refusal = fanfare_refusal_of(403);
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_OK);
    CHECK(name.data == NULL);
    refusal.headers = &header;
    refusal.headers_count = 1;
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "headers"));
    refusal = fanfare_refusal_of(403);
    refusal.text = FANFARE_TEXT("\xff");
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "text"));
    refusal = fanfare_refusal_of(403);
    refusal.reserved = 1;
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_OK);
    CHECK(text_is(name, "reserved"));
    refusal.size = 1;
    CHECK_EQ(fanfare_refusal_problem(&refusal, &name, &bounds), FANFARE_ERR_ARGUMENT);
    CHECK_EQ(fanfare_refusal_problem(NULL, &name, &bounds), FANFARE_ERR_ARGUMENT);
}

const test tests_of_tokens[] = {
    {"a token is signed and verified, and gives what it grants", verified},
    {"keys are files and JWK sets, what is wrong is told, and they are replaced", keys},
    {"tokens have options and claims, and what cannot be signed is refused", token_options},
    {"a grant or refusal with a wrong part has it named", grants},
    {NULL, NULL},
};
