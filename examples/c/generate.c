/* Continues a text by a model: generate FILE TEXT [TOKENS].
 *
 *     cc -std=c11 examples/c/generate.c $(pkg-config --cflags --libs quintile) -o generate
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quintile.h"

/* Prints what is generated as it comes. */
static int print_piece(void *user, uint32_t token, const char *text, size_t text_bytes) {
    size_t *generated = (size_t *)user;
    (void)token;
    fwrite(text, 1, text_bytes, stdout);
    fflush(stdout);
    *generated += 1;
    return 0;
}

static int fail(const char *what, quintile_status status, const char *error) {
    fprintf(stderr, "%s: %s (%s)\n", what, quintile_status_text(status), error);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: generate FILE TEXT [TOKENS]\n");
        return 2;
    }
    if (quintile_abi_version() != QUINTILE_ABI_VERSION) {
        fprintf(stderr, "the library is of another version than the header\n");
        return 1;
    }
    const char *text = argv[2];
    char error[512] = "";
    size_t count = 0, generated = 0;
    int result = 1;
    quintile_model *model = NULL;
    quintile_context *context = NULL;
    uint32_t *tokens = NULL;

    quintile_status status = quintile_model_open(argv[1], NULL, &model, error, sizeof error);
    if (status != QUINTILE_STATUS_OK) {
        fail("open", status, error);
        goto done;
    }
    status = quintile_context_new(model, NULL, &context, error, sizeof error);
    if (status != QUINTILE_STATUS_OK) {
        fail("context", status, error);
        goto done;
    }

    /* How many tokens first, and then the tokens. */
    status = quintile_tokenize(model, text, strlen(text), QUINTILE_TOKENIZE_ADD_SPECIAL, NULL, 0, &count);
    if (status != QUINTILE_STATUS_OK && status != QUINTILE_STATUS_BUFFER_TOO_SMALL) {
        fail("tokenize", status, "");
        goto done;
    }
    tokens = (uint32_t *)malloc((count + 1) * sizeof *tokens);
    if (tokens == NULL) {
        goto done;
    }
    status = quintile_tokenize(model, text, strlen(text), QUINTILE_TOKENIZE_ADD_SPECIAL, tokens, count, &count);
    if (status != QUINTILE_STATUS_OK) {
        fail("tokenize", status, "");
        goto done;
    }

    quintile_sampling sampling;
    quintile_sampling_init(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;

    quintile_finish finish;
    fputs(text, stdout);
    status = quintile_generate(context, tokens, count, &sampling, print_piece, &generated, &finish, error, sizeof error);
    putchar('\n');
    if (status != QUINTILE_STATUS_OK) {
        fail("generate", status, error);
        goto done;
    }
    fprintf(stderr, "%zu tokens, finished for reason %d\n", generated, (int)finish);
    result = 0;

done:
    free(tokens);
    quintile_context_free(context);
    quintile_model_free(model);
    return result;
}
