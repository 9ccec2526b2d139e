/* quintile: kernels and products of quantised weights, and models that run on them; the same bits on every CPU.
 *
 * Every function returns a quintile_status, and writes its results where pointers point. It prints nothing, reads no
 * environment variable, and neither aborts nor unwinds. It checks pointers, lengths, alignment and overlaps before it touches
 * anything; what it writes in case of an error is not defined, unless it says so. It computes in the default floating-point
 * environment, and gives the caller's back.
 *
 * A pointer that is not null must point to as many elements as the length beside it says, which no other thread writes
 * during the call, nor reads where the function writes. A pointer to nothing may be null. What functions on memory
 * do depends on their arguments alone: any threads may call them at the same time. Of handles, each says what threads may do.
 *
 * Made by scripts/c_header.sh: change src/capi instead. */


#ifndef QUINTILE_H
#define QUINTILE_H

#include <stddef.h>
#include <stdint.h>

// The version of the interface that this header describes: changed whenever a program would have to be compiled again.
#define QUINTILE_ABI_VERSION 1

// Bytes on a multiple of which packed weights and activations begin. Weights as files hold them, and scratch, lie at any address;
// numbers where C puts them.
#define QUINTILE_ALIGNMENT 64

// Add the tokens that begin and end a text, as the vocabulary asks.
#define QUINTILE_TOKENIZE_ADD_SPECIAL 1

// Recognise the names of control tokens in the text: never for what users wrote.
#define QUINTILE_TOKENIZE_PARSE_SPECIAL 2

// A token whose name is no part of the text.
#define QUINTILE_TOKEN_CONTROL 1

// A token that ends what is generated.
#define QUINTILE_TOKEN_END 2

// Why generation ended.
enum quintile_finish
#ifdef __cplusplus
  : int32_t
#endif // __cplusplus
 {
    // The model ended the text.
    QUINTILE_FINISH_END = 0,
    // As many tokens as were asked for.
    QUINTILE_FINISH_LENGTH = 1,
    // A stop string: it is no part of what was given.
    QUINTILE_FINISH_STOP_STRING = 2,
    // The context has no room for more.
    QUINTILE_FINISH_CONTEXT_FULL = 3,
    // quintile_context_cancel was called.
    QUINTILE_FINISH_CANCELLED = 4,
    // The callback said so.
    QUINTILE_FINISH_STOPPED = 5,
};
#ifndef __cplusplus
typedef int32_t quintile_finish;
#endif // __cplusplus

// What became of a call. Numbers are never given another meaning; there may be more of them one day.
enum quintile_status
#ifdef __cplusplus
  : int32_t
#endif // __cplusplus
 {
    // Done.
    QUINTILE_STATUS_OK = 0,
    // A pointer is null that must not be.
    QUINTILE_STATUS_NULL_POINTER = 1,
    // No format, or none that is computed with, has this number.
    QUINTILE_STATUS_UNKNOWN_FORMAT = 2,
    // Lengths that do not belong together: a row is no whole number of blocks, or a buffer has not the size that the others
    // ask for.
    QUINTILE_STATUS_WRONG_SIZE = 3,
    // A buffer has room for less than is to be written.
    QUINTILE_STATUS_BUFFER_TOO_SMALL = 4,
    // Sizes whose product is more than memory can have.
    QUINTILE_STATUS_OVERFLOW = 5,
    // A pointer is no multiple of what its elements need, or of QUINTILE_ALIGNMENT where that is asked for.
    QUINTILE_STATUS_MISALIGNED = 6,
    // What is written overlaps what is read.
    QUINTILE_STATUS_OVERLAP = 7,
    // A row, column, part, token or position that is not there.
    QUINTILE_STATUS_OUT_OF_RANGE = 8,
    // Not for this format, this model, or this CPU.
    QUINTILE_STATUS_UNSUPPORTED = 9,
    // An option has a value that makes no sense.
    QUINTILE_STATUS_INVALID_OPTION = 10,
    // A text is not UTF-8.
    QUINTILE_STATUS_INVALID_UTF8 = 11,
    // A file cannot be opened or read.
    QUINTILE_STATUS_IO = 12,
    // A file is no GGUF file, or holds no model that can be run.
    QUINTILE_STATUS_INVALID_FILE = 13,
    // More tokens than the context has room for.
    QUINTILE_STATUS_CONTEXT_FULL = 14,
    // quintile_context_cancel was called.
    QUINTILE_STATUS_CANCELLED = 15,
    // Another thread uses the context, or the callback that it runs in.
    QUINTILE_STATUS_BUSY = 16,
    // A defect of this library: please report it.
    QUINTILE_STATUS_INTERNAL = 255,
};
#ifndef __cplusplus
typedef int32_t quintile_status;
#endif // __cplusplus

// A text in progress: its tokens, what they left in the cache, and threads. One thread uses it at a time (another gets BUSY); only
// quintile_context_cancel may be called meanwhile. Contexts of one model know nothing of each other.
typedef struct quintile_context quintile_context;

// A model file that was opened, and its tokenizer. Any threads may use it at the same time.
typedef struct quintile_model quintile_model;

// How a matrix of weights `[rows, k]`, row-major, is multiplied by at most so many columns of activations. Filled by
// quintile_plan_init, and read only from then on: it may be copied, and shared by any threads.
typedef struct quintile_plan {
    // The weights' format: its number in GGUF files.
    uint32_t format;
    // Which kernels: quintile_level_name names them.
    uint32_t level;
    // Rows of the weights: outputs of a column.
    size_t rows;
    // Length of a row and of a column.
    size_t k;
    // Columns at most.
    size_t columns;
    // Rows are divided at multiples of this.
    size_t row_multiple;
    // Bytes of one row as files hold it.
    size_t row_bytes;
    // Bytes of all rows when packed.
    size_t packed_bytes;
    // Bytes of the activations of one column.
    size_t column_bytes;
    // Bytes of the activations of all columns.
    size_t activation_bytes;
    // Bytes of scratch that each thread needs, its own, for any number of products.
    size_t scratch_bytes;
    // The size of cache that panels are made for.
    size_t cache_bytes;
} quintile_plan;

// A product: `out[c * out_stride + r]` becomes the dot of row `r` of the weights and column `c` of the activations. All threads that
// compute parts of it read the same one.
typedef struct quintile_product {
    // All rows, packed by quintile_pack, at a multiple of QUINTILE_ALIGNMENT; or null, and then `weights` is read.
    const void *packed;
    // Its bytes: packed_bytes of the plan.
    size_t packed_bytes;
    // All rows as files hold them, at any address. Takes no memory, and more time for many columns than packed rows; the same bits.
    const void *weights;
    // Its bytes: rows * row_bytes of the plan.
    size_t weights_bytes;
    // What quintile_activations wrote, at a multiple of QUINTILE_ALIGNMENT.
    const void *activations;
    // Its bytes: columns * column_bytes of the plan, or more.
    size_t activations_bytes;
    // Columns of this product: at most those planned.
    size_t columns;
    // The output.
    float *out;
    // Its numbers: (columns - 1) * out_stride + rows, or more. What lies between columns is left alone.
    size_t out_len;
    // Numbers from one column to the next: the plan's rows, or more.
    size_t out_stride;
    // A number that is added to each row's results at last; or null.
    const float *bias;
    // Its numbers: the plan's rows.
    size_t bias_len;
    // If not 0, the product is added to what `out` holds.
    uint32_t accumulate;
} quintile_product;

// How a model is opened. quintile_model_options_init fills in what is usual.
typedef struct quintile_model_options {
    // Which kernels ("scalar", "avx2-asm", ...); null for the fastest. No bit depends on it.
    const char *level;
    // If not 0, the file is read into memory. Otherwise it is mapped, and a process that truncates it ends this one (SIGBUS).
    uint32_t read_file;
} quintile_model_options;

// What a model is.
typedef struct quintile_model_info {
    // Tokens of the vocabulary: logits after a token.
    size_t vocab;
    // Positions that it was made for.
    size_t context;
    // Layers.
    size_t layers;
    // Length of the vector of a token.
    size_t embedding;
    // Bytes of its weights that one token reads.
    uint64_t weight_bytes;
    // The token that begins a text; -1 if it has none, or no tokenizer.
    int64_t bos;
    // The token that ends a text; -1 likewise.
    int64_t eos;
} quintile_model_info;

// A tensor of a file: a matrix `[rows, k]`, row-major, if it has more dimensions all of them but the first as rows.
typedef struct quintile_tensor {
    // Its format: a number of GGUF, perhaps of one that is not computed with.
    uint32_t format;
    // Rows.
    size_t rows;
    // Length of a row.
    size_t k;
    // The data.
    const void *data;
    // Its bytes.
    size_t bytes;
} quintile_tensor;

// How a context is made. quintile_context_options_init fills in what is usual.
typedef struct quintile_context_options {
    // Positions to make room for; 0 for the smaller of 4096 and the model's.
    size_t context;
    // Tokens that pass through the layers together, at most.
    size_t batch;
    // Threads, the calling one included; 0 for the physical cores that the process may use.
    size_t threads;
    // How keys and values are stored, a number of GGUF: F32 (0), F16 (1) or Q8_0 (8). Each has bits of its own.
    uint32_t cache_format;
} quintile_context_options;

// How tokens are chosen, and when to end. quintile_sampling_init fills in what is usual.
typedef struct quintile_sampling {
    // Tokens to generate at most.
    size_t max_tokens;
    // Divides the logits; 0 takes the most likely token.
    float temperature;
    // Only the fewest most likely tokens whose probabilities reach this sum; 1 for all.
    float top_p;
    // Only tokens at least this many times as likely as the most likely; 0 for all.
    float min_p;
    // Divides the positive logits of recent tokens, and multiplies the negative; 1 for none.
    float repeat_penalty;
    // How many tokens count as recent.
    size_t repeat_last;
    // Only this many of the most likely tokens; 0 for all.
    size_t top_k;
    // Seeds the draws: the same seed gives the same text, on any CPU.
    uint64_t seed;
    // Texts before which generation ends, UTF-8 with a zero at the end, none of them empty.
    const char *const *stop;
    // How many.
    size_t stop_count;
    // If not 0, goes on after a token that ends the text.
    uint32_t ignore_end;
} quintile_sampling;

// Is given each token that was generated, and the text that is complete with it: UTF-8 of so many bytes, without a zero at the end, and
// gone when it returns; empty while a character or what may be a stop string is not whole. Returns 0 to go on; of a character that
// is not whole then, the next call does not know. Runs on the thread
// that called quintile_generate, in its floating-point environment; it must neither throw nor jump, and calls with the same context
// get BUSY, except quintile_context_cancel.
typedef int (*quintile_on_piece)(void *user, uint32_t token, const char *text, size_t text_bytes);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the interface that the library has. Compare it with QUINTILE_ABI_VERSION before anything else, where the
// library is found at run time.
uint32_t quintile_abi_version(void);

// The version of the numeric contract: libraries with the same one return the same bits, on any CPU.
uint32_t quintile_contract_version(void);

// The library's own version, such as "0.1.0"; not to be freed.
const char *quintile_version(void);

// A status in a few words; of a number that is none, that. Not to be freed.
const char *quintile_status_text(int32_t status);

// The set of kernels that was chosen for this CPU, such as "avx2-asm", or the one that a plan has: all give the same bits. The
// name of a number that no level has is null. Not to be freed. `level` is that of quintile_plan, or UINT32_MAX for the
// chosen one.
const char *quintile_level_name(uint32_t level);

// The name of a format by its number in GGUF files (ggml_type), such as "Q5_K" of 13; null where nothing here computes with it. Not
// to be freed.
const char *quintile_format_name(uint32_t format);

// Bytes of a row of `n` values in a format, which is a number of GGUF (ggml_type). UNKNOWN_FORMAT; WRONG_SIZE if they are no whole
// number of blocks; OVERFLOW.
quintile_status quintile_row_bytes(uint32_t format,
                                   size_t n,
                                   size_t *bytes);

// The sum of `a[i] * b[i]`, in f32 by 64 lanes whose order is fixed. `out` is one number.
quintile_status quintile_dot_f32(const float *a, const float *b, size_t n, float *out);

// Writes the `n` values of a row as f32. The row lies at any address.
quintile_status quintile_dequantize(uint32_t format,
                                    const void *row_data,
                                    size_t row_data_bytes,
                                    float *out,
                                    size_t n);

// The dot of a row with f32 activations, none of them rounded: the bits of quintile_dot_f32 with the dequantised row. A quantised row
// lies at any address, one of F32, F16 or BF16 at a multiple of its elements (else MISALIGNED).
quintile_status quintile_dot_exact(uint32_t format,
                                   const void *row_data,
                                   size_t row_data_bytes,
                                   const float *x,
                                   size_t n,
                                   float *out);

// Bytes of `n` activations as quintile_quantize writes them for rows of this format. UNSUPPORTED for F32, F16 and BF16, whose
// activations stay what they are.
quintile_status quintile_quantized_bytes(uint32_t format,
                                         size_t n,
                                         size_t *bytes);

// Rounds `n` activations to bytes with a scale for each 32 or 256 of them, as rows of this format want them. `quantized` has
// quintile_quantized_bytes, at a multiple of QUINTILE_ALIGNMENT. NaN or an infinity makes every dot with its scale NaN.
quintile_status quintile_quantize(uint32_t format,
                                  const float *x,
                                  size_t n,
                                  void *quantized,
                                  size_t quantized_bytes);

// The dot of a quantised row of `n` values, at any address, with what quintile_quantize made of as many activations for the same
// format.
quintile_status quintile_dot_quantized(uint32_t format,
                                       const void *row_data,
                                       size_t row_data_bytes,
                                       const void *quantized,
                                       size_t quantized_bytes,
                                       size_t n,
                                       float *out);

// Plans products of weights `[rows, k]` of a format, a number of GGUF, by at most so many columns: fills `plan`, sizes included.
// `level` names kernels ("scalar", "avx2-asm", ...) or is null for the fastest; it changes no bit of any result.
// UNKNOWN_FORMAT; WRONG_SIZE if k is no whole number of blocks; OVERFLOW; INVALID_OPTION if no level has the name; UNSUPPORTED
// if the CPU lacks it.
quintile_status quintile_plan_init(struct quintile_plan *plan,
                                   const char *level,
                                   uint32_t format,
                                   size_t rows,
                                   size_t k,
                                   size_t columns);

// The rows of part `ith` of `nth`: those that quintile_run computes for these, and a good division for quintile_pack. Parts
// are as even as multiples of row_multiple let them be; with more parts than those, some have no rows. OUT_OF_RANGE if ith
// is not below nth.
quintile_status quintile_plan_share(const struct quintile_plan *plan,
                                    size_t ith,
                                    size_t nth,
                                    size_t *first_row,
                                    size_t *rows);

// Packs rows of which `weights` is, at any address, what a file holds: these rows alone, rows * row_bytes. They begin at a
// multiple of row_multiple, and end at one or with the matrix (else OUT_OF_RANGE). `packed` is the memory of all rows, packed_bytes
// at a multiple of QUINTILE_ALIGNMENT: threads may pack different rows of it at the same time. What is packed is for the plan that it
// was packed by, on this CPU.
quintile_status quintile_pack(const struct quintile_plan *plan,
                              size_t first_row,
                              size_t rows,
                              const void *weights,
                              size_t weights_bytes,
                              void *packed,
                              size_t packed_bytes);

// Makes activations of columns `first_column` to `first_column + columns - 1`, as rows of the plan's format want them. `x` holds
// column c at x[c * x_stride], x_stride being k or more. `activations` is the memory of all columns, columns * column_bytes at a
// multiple of QUINTILE_ALIGNMENT: threads may write different columns of it at the same time.
// OUT_OF_RANGE for columns that are not planned; BUFFER_TOO_SMALL.
quintile_status quintile_activations(const struct quintile_plan *plan,
                                     const float *x,
                                     size_t x_len,
                                     size_t x_stride,
                                     size_t first_column,
                                     size_t columns,
                                     void *activations,
                                     size_t activations_bytes);

// Computes part `ith` of `nth` of a product, rows of every column, on the calling thread. Any threads may compute different parts
// at the same time; `scratch`, scratch_bytes at any address, is this thread's own (else BUFFER_TOO_SMALL). The bits depend neither on
// the parts nor on the number of columns.
quintile_status quintile_run(const struct quintile_plan *plan,
                             const struct quintile_product *product,
                             void *scratch,
                             size_t scratch_bytes,
                             size_t ith,
                             size_t nth);

// Fills in what is usual: the fastest kernels, and a file that is mapped.
quintile_status quintile_model_options_init(struct quintile_model_options *options);

// Opens a GGUF file by its path (bytes of the system's; UTF-8 on Windows), with options or null. `*model` is the handle, to be freed by
// quintile_model_free; null if it fails. What is wrong is then said in `error`, `error_bytes` long with the zero at its end,
// or null: the file, the field and its value.
// IO; INVALID_FILE; INVALID_OPTION; UNSUPPORTED.
quintile_status quintile_model_open(const char *path,
                                    const struct quintile_model_options *options,
                                    struct quintile_model **model,
                                    char *error,
                                    size_t error_bytes);

// Frees a model; null is fine. Contexts of it may go on: its memory goes with the last of them.
void quintile_model_free(struct quintile_model *model);

// What a model is.
quintile_status quintile_model_describe(const struct quintile_model *model,
                                        struct quintile_model_info *info);

// The data of a tensor of the file, of the name that it has there ("output.weight", ...): in place, not to be freed, and gone with the
// model. OUT_OF_RANGE if there is none.
quintile_status quintile_model_tensor(const struct quintile_model *model,
                                      const char *name,
                                      struct quintile_tensor *tensor);

// The tokens of a text of so many bytes, which is UTF-8; `flags` are those of QUINTILE_TOKENIZE_*. `*count` is their number also where
// there is no room for it (BUFFER_TOO_SMALL, and `tokens` is left alone): ask with a capacity of 0 first. UNSUPPORTED if the
// file has no tokenizer that is known here.
quintile_status quintile_tokenize(const struct quintile_model *model,
                                  const char *text,
                                  size_t text_bytes,
                                  uint32_t flags,
                                  uint32_t *tokens,
                                  size_t capacity,
                                  size_t *count);

// The bytes that a token stands for, the name of one whose QUINTILE_TOKEN_CONTROL is set: perhaps part of a character, and without a
// zero at the end. They are the model's, and go with it. OUT_OF_RANGE; UNSUPPORTED. `flags` are those of QUINTILE_TOKEN_*, or null.
quintile_status quintile_token_bytes(const struct quintile_model *model,
                                     uint32_t token,
                                     const uint8_t **bytes,
                                     size_t *count,
                                     uint32_t *flags);

// Fills in what is usual: F16, 512 tokens together, and zeros.
quintile_status quintile_context_options_init(struct quintile_context_options *options);

// Makes a context of a model, with options or null: `*context`, to be freed by quintile_context_free; null if it fails, and why is
// said in `error` as by quintile_model_open.
quintile_status quintile_context_new(const struct quintile_model *model,
                                     const struct quintile_context_options *options,
                                     struct quintile_context **context,
                                     char *error,
                                     size_t error_bytes);

// Frees a context; null is fine. No other thread may be using it.
void quintile_context_free(struct quintile_context *context);

// Appends tokens to the text, and computes them. `logits`, if not null, becomes the logits after the last one: logits_len is vocab of
// quintile_model_describe. All or nothing is appended, except that of a call that was cancelled the batches that were done stay.
// CONTEXT_FULL; OUT_OF_RANGE for a token that is none; CANCELLED; BUSY.
quintile_status quintile_context_eval(struct quintile_context *context,
                                      const uint32_t *tokens,
                                      size_t count,
                                      float *logits,
                                      size_t logits_len,
                                      char *error,
                                      size_t error_bytes);

// Tokens that the text has, those included that were generated.
quintile_status quintile_context_position(const struct quintile_context *context, size_t *position);

// Forgets the tokens of the text behind the first `position`: 0 begins anew. OUT_OF_RANGE if there are fewer.
quintile_status quintile_context_truncate(struct quintile_context *context,
                                          size_t position);

// Ends the call that computes in this context, within some milliseconds, or else the next one: it returns CANCELLED, or
// finishes as cancelled. From any thread, at any time before the context is freed.
quintile_status quintile_context_cancel(struct quintile_context *context);

// Fills in what is usual: temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, no penalty, seed 0, no limit but the context.
quintile_status quintile_sampling_init(struct quintile_sampling *sampling);

// Appends tokens to the text of the context (none, to go on where it ended), continues it, and gives the callback what is
// generated, piece by piece. The text is then all that it held, the tokens given and those generated. With sampling, or null for
// the usual. `*finish`, if not null, says why it ended where OK is returned; otherwise `error` says what is wrong as
// by quintile_model_open, and the text has what was generated so far.
quintile_status quintile_generate(struct quintile_context *context,
                                  const uint32_t *tokens,
                                  size_t count,
                                  const struct quintile_sampling *sampling,
                                  quintile_on_piece on_piece,
                                  void *user,
                                  quintile_finish *finish,
                                  char *error,
                                  size_t error_bytes);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* QUINTILE_H */
