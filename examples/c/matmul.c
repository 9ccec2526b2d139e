/* Multiplies a matrix of a GGUF file by some columns, on two threads of its own: matmul FILE TENSOR COLUMNS.
 *
 *     cc -std=c11 examples/c/matmul.c $(pkg-config --cflags --libs quintile) -pthread -o matmul
 *
 * The weights are packed once, each thread its rows; then each computes its rows of the product. The program checks that every element
 * has the bits of one row times one column, and fails if not.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quintile.h"

enum { THREADS = 2 };

struct job {
    const quintile_plan *plan;
    const quintile_product *product;
    const unsigned char *weights;
    void *packed;
    size_t ith;
    quintile_status status;
};

/* The rows of one thread. */
static void *work(void *argument) {
    struct job *job = (struct job *)argument;
    const quintile_plan *plan = job->plan;
    size_t first, rows;
    job->status = quintile_plan_share(plan, job->ith, THREADS, &first, &rows);
    if (job->status == QUINTILE_STATUS_OK) {
        job->status = quintile_pack(plan, first, rows, job->weights + first * plan->row_bytes, rows * plan->row_bytes,
                                    job->packed, plan->packed_bytes);
    }
    /* A thread reads the rows that it packed itself: nobody waits. */
    if (job->status == QUINTILE_STATUS_OK) {
        void *scratch = malloc(plan->scratch_bytes + 1);
        if (scratch == NULL) {
            job->status = QUINTILE_STATUS_INTERNAL;
            return NULL;
        }
        job->status = quintile_run(plan, job->product, scratch, plan->scratch_bytes, job->ith, THREADS);
        free(scratch);
    }
    return NULL;
}

/* What begins at a multiple of QUINTILE_ALIGNMENT: all sizes that ask for it are such multiples. */
static void *aligned(size_t bytes) {
    return aligned_alloc(QUINTILE_ALIGNMENT, bytes > 0 ? bytes : QUINTILE_ALIGNMENT);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: matmul FILE TENSOR COLUMNS\n");
        return 2;
    }
    const size_t columns = strtoul(argv[3], NULL, 10);
    char error[512] = "";
    quintile_model *model = NULL;
    quintile_tensor tensor;
    quintile_status status = quintile_model_open(argv[1], NULL, &model, error, sizeof error);
    if (status != QUINTILE_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", quintile_status_text(status), error);
        return 1;
    }
    status = quintile_model_tensor(model, argv[2], &tensor);
    quintile_plan plan;
    memset(&plan, 0, sizeof plan);
    if (status == QUINTILE_STATUS_OK) {
        status = quintile_plan_init(&plan, NULL, tensor.format, tensor.rows, tensor.k, columns);
    }
    if (status != QUINTILE_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[2], quintile_status_text(status));
        quintile_model_free(model);
        return 1;
    }
    printf("%s %zu x %zu by %zu columns, at %s: packed %zu KiB, scratch of a thread %zu KiB\n",
           quintile_format_name(tensor.format), tensor.rows, tensor.k, columns, quintile_level_name(plan.level),
           plan.packed_bytes >> 10, plan.scratch_bytes >> 10);

    int result = 1;
    float *x = (float *)malloc(columns * tensor.k * sizeof *x + 1);
    float *out = (float *)malloc(columns * tensor.rows * sizeof *out + 1);
    void *packed = aligned(plan.packed_bytes), *activations = aligned(plan.activation_bytes);
    if (x == NULL || out == NULL || packed == NULL || activations == NULL) {
        goto done;
    }
    for (size_t i = 0; i < columns * tensor.k; i++) {
        x[i] = (float)(i * 7919 % 1013) / 506.5f - 1.0f;
    }
    status = quintile_activations(&plan, x, columns * tensor.k, tensor.k, 0, columns, activations, plan.activation_bytes);
    if (status != QUINTILE_STATUS_OK) {
        fprintf(stderr, "activations: %s\n", quintile_status_text(status));
        goto done;
    }

    quintile_product product;
    memset(&product, 0, sizeof product);
    product.packed = packed;
    product.packed_bytes = plan.packed_bytes;
    product.activations = activations;
    product.activations_bytes = plan.activation_bytes;
    product.columns = columns;
    product.out = out;
    product.out_len = columns * tensor.rows;
    product.out_stride = tensor.rows;

    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        struct job job = {&plan, &product, (const unsigned char *)tensor.data, packed, i, QUINTILE_STATUS_INTERNAL};
        jobs[i] = job;
        if (pthread_create(&threads[i], NULL, work, &jobs[i]) != 0) {
            exit(1);
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        if (jobs[i].status != QUINTILE_STATUS_OK) {
            fprintf(stderr, "part %zu: %s\n", i, quintile_status_text(jobs[i].status));
            goto done;
        }
    }

    for (size_t c = 0; c < columns; c++) {
        const unsigned char *column = (const unsigned char *)activations + c * plan.column_bytes;
        for (size_t r = 0; r < tensor.rows; r++) {
            const unsigned char *row = (const unsigned char *)tensor.data + r * plan.row_bytes;
            float dot;
            status = quintile_dot_quantized(tensor.format, row, plan.row_bytes, column, plan.column_bytes, tensor.k, &dot);
            if (status == QUINTILE_STATUS_UNSUPPORTED) {
                puts("not quantised: there are no single rows to compare with");
                result = 0;
                goto done;
            }
            if (status != QUINTILE_STATUS_OK || memcmp(&dot, &out[c * tensor.rows + r], sizeof dot) != 0) {
                fprintf(stderr, "row %zu, column %zu: %s, other bits\n", r, c, quintile_status_text(status));
                goto done;
            }
        }
    }
    puts("the bits of single rows");
    result = 0;

done:
    free(x);
    free(out);
    free(packed);
    free(activations);
    quintile_model_free(model);
    return result;
}
