/* A stand-in for libedgetpu: a TFLite delegate that takes `edgetpu-custom-op` and computes what `compiler.py` put into
 * it, in the arithmetic of TFLite's reference kernels. It shows that library, device, variant and errors find each
 * other. It shows nothing of the silicon.
 *
 * EDGETPU_STANDIN in the environment makes it misbehave: "silent" fails without a word, "say WORDS" fails with them,
 * "crash" ends the process, "enumerate FOLDER" gives the USB device in that folder of a sysfs its firmware and fails
 * once, "exclusive FILE" lets one process at a time have it, as a device does, "pulled N" computes N windows and then no
 * more. EDGETPU_STANDIN_LOG names a file that takes the options it is opened with.
 *
 * The structures are the beginning of those in tensorflow/lite/core/c/common.h, which kept their layout from 2.5 on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

enum { OK = 0, ERROR = 1, ALLOW_DYNAMIC_TENSORS = 1, MAX_BUFFERS = 256 };

typedef struct { int size; int data[]; } IntArray;
typedef struct { int type; union { int8_t *int8; void *raw; } data; IntArray *dims; float scale; int32_t zero_point;
                 int allocation; size_t bytes; const void *mapped; const char *name; void *delegate; int handle;
                 bool stale, variable; int quantization; void *params; void *sparsity; const IntArray *signature;
} Tensor;
typedef struct { IntArray *inputs, *outputs, *intermediates, *temporaries; void *user_data, *builtin_data;
                 const void *custom_data; int custom_size; void *delegate; bool side_effects; } Node;
typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct { void *(*init)(Context *, const char *, size_t); void (*free)(Context *, void *);
                 int (*prepare)(Context *, Node *); int (*invoke)(Context *, Node *);
                 const char *(*profile)(const Context *, const Node *); int32_t builtin_code; const char *custom_name;
                 int version; void *later[8]; } Registration;
struct Context { size_t n_tensors; int (*plan)(Context *, IntArray **); Tensor *tensors; void *own;
                 int (*resize)(Context *, Tensor *, IntArray *); void (*report)(Context *, const char *, ...);
                 int (*add)(Context *, int, int *); int (*node)(Context *, int, Node **, Registration **);
                 int (*replace)(Context *, Registration, const IntArray *, Delegate *); };
struct Delegate { void *own; int (*prepare)(Context *, Delegate *); void *copy_from, *copy_to, *release; int64_t flags;
                  void *builder; };
typedef struct { Delegate *delegate; IntArray *nodes, *inputs, *outputs; } Params;
typedef void (*Report)(const char *);

/* --- The program: 32-bit words, read in order; bytes are packed into them. --- */

typedef struct { const int32_t *words; int8_t *buffers[MAX_BUFFERS]; int n_buffers, n_steps, input, output;
                 const int32_t *steps; int32_t sizes[MAX_BUFFERS]; } Program;

enum { COPY, TABLE, TABLE_OF_TWO, CONVOLVE, AVERAGE };

static int32_t take(const int32_t **at) { return *(*at)++; }

static const int8_t *take_bytes(const int32_t **at, int32_t n) {
    const int8_t *bytes = (const int8_t *)*at;
    *at += (n + 3) / 4;
    return bytes;
}

static int32_t rescaled(int64_t x, int32_t mantissa, int32_t shift) {
    if (shift > 0) {
        x <<= shift;
    }
    x = (x * mantissa + (1LL << 30)) >> 31;
    if (shift < 0) {
        int64_t half = 1LL << (-shift - 1);
        x = (x + half - (x < 0)) >> -shift;
    }
    return (int32_t)x;
}

static int8_t clamped(int32_t x, int32_t low, int32_t high) { return (int8_t)(x < low ? low : x > high ? high : x); }

static void table_of_two(const int32_t **at, const int8_t *a, const int8_t *b, int8_t *out) {
    int32_t n = take(at), sizes[4], a_step[4], b_step[4];
    for (int axis = 0; axis < 4; axis++) sizes[axis] = take(at);
    for (int axis = 0; axis < 4; axis++) a_step[axis] = take(at);
    for (int axis = 0; axis < 4; axis++) b_step[axis] = take(at);
    const int8_t *table = take_bytes(at, 65536);
    for (int32_t index = 0; index < n; index++) {
        int32_t rest = index, from_a = 0, from_b = 0;
        for (int axis = 3; axis >= 0; axis--) {
            from_a += rest % sizes[axis] * a_step[axis];
            from_b += rest % sizes[axis] * b_step[axis];
            rest /= sizes[axis];
        }
        out[index] = table[(a[from_a] + 128) * 256 + b[from_b] + 128];
    }
}

/* One row: time by channels. Weights are out by taps by in. */
static void convolve(const int32_t **at, const int8_t *in, int8_t *out) {
    int32_t steps_in = take(at), c_in = take(at), steps = take(at), c_out = take(at), taps = take(at);
    int32_t stride = take(at), left = take(at), zero_in = take(at), zero_out = take(at), low = take(at), high = take(at);
    const int8_t *weights = take_bytes(at, c_out * taps * c_in);
    const int32_t *bias = *at, *mantissa = bias + c_out, *shift = mantissa + c_out;
    *at = shift + c_out;
    for (int32_t step = 0; step < steps; step++) {
        for (int32_t channel = 0; channel < c_out; channel++) {
            int32_t sum = bias[channel];
            for (int32_t tap = 0; tap < taps; tap++) {
                int32_t from = step * stride - left + tap;
                for (int32_t c = 0; from >= 0 && from < steps_in && c < c_in; c++) {
                    sum += (in[from * c_in + c] - zero_in) * weights[(channel * taps + tap) * c_in + c];
                }
            }
            out[step * c_out + channel] = clamped(rescaled(sum, mantissa[channel], shift[channel]) + zero_out, low, high);
        }
    }
}

static void average(const int32_t **at, const int8_t *in, int8_t *out) {
    int32_t steps = take(at), channels = take(at), zero_in = take(at), zero_out = take(at);
    int32_t mantissa = take(at), shift = take(at);
    for (int32_t channel = 0; channel < channels; channel++) {
        int32_t sum = -steps * zero_in;
        for (int32_t step = 0; step < steps; step++) sum += in[step * channels + channel];
        out[channel] = clamped(rescaled(sum, mantissa, shift) + zero_out, -128, 127);
    }
}

static void run(Program *program) {
    const int32_t *at = program->steps;
    for (int step = 0; step < program->n_steps; step++) {
        int32_t kind = take(&at), a = take(&at), b = take(&at), to = take(&at);
        int8_t *const *buffers = program->buffers;
        if (kind == COPY) {
            memcpy(buffers[to], buffers[a], (size_t)program->sizes[to]);
        } else if (kind == TABLE) {
            const int8_t *table = take_bytes(&at, 256);
            for (int32_t index = 0; index < program->sizes[to]; index++) {
                buffers[to][index] = table[buffers[a][index] + 128];
            }
        } else if (kind == TABLE_OF_TWO) {
            table_of_two(&at, buffers[a], buffers[b], buffers[to]);
        } else if (kind == CONVOLVE) {
            convolve(&at, buffers[a], buffers[to]);
        } else {
            average(&at, buffers[a], buffers[to]);
        }
    }
}

/* --- The delegate --- */

static void *kernel_init(Context *context, const char *buffer, size_t length) {
    (void)length;
    const Params *params = (const Params *)(const void *)buffer;
    Node *node;
    Registration *registration;
    if (context->node(context, params->nodes->data[0], &node, &registration) != OK) return NULL;
    Program *program = calloc(1, sizeof *program);
    /* Its data need not be aligned, and is the interpreter's. */
    int32_t *words = malloc((size_t)node->custom_size);
    memcpy(words, node->custom_data, (size_t)node->custom_size);
    const int32_t *at = program->words = words;
    program->n_buffers = take(&at), program->n_steps = take(&at), program->input = take(&at), program->output = take(&at);
    for (int number = 0; number < program->n_buffers; number++) {
        int32_t size = program->sizes[number] = take(&at), is_constant = take(&at);
        program->buffers[number] = malloc((size_t)size);
        if (is_constant) memcpy(program->buffers[number], take_bytes(&at, size), (size_t)size);
    }
    program->steps = at;
    return program;
}

static void kernel_free(Context *context, void *own) {
    (void)context;
    Program *program = own;
    for (int number = 0; number < program->n_buffers; number++) free(program->buffers[number]);
    free((void *)(uintptr_t)program->words);
    free(program);
}

static int kernel_prepare(Context *context, Node *node) {
    (void)context;
    return node->user_data == NULL ? ERROR : OK;
}

static long left = -1; /* windows that it computes yet; -1: all */

static int kernel_invoke(Context *context, Node *node) {
    if (left == 0) return ERROR;
    left -= left > 0;
    Program *program = node->user_data;
    const Tensor *in = &context->tensors[node->inputs->data[0]], *out = &context->tensors[node->outputs->data[0]];
    memcpy(program->buffers[program->input], in->data.int8, (size_t)program->sizes[program->input]);
    run(program);
    memcpy(out->data.int8, program->buffers[program->output], (size_t)program->sizes[program->output]);
    return OK;
}

static int delegate_prepare(Context *context, Delegate *delegate) {
    IntArray *plan;
    if (context->plan(context, &plan) != OK) return ERROR;
    IntArray *mine = calloc(1, sizeof(int) * (size_t)(plan->size + 1));
    for (int index = 0; index < plan->size; index++) {
        Node *node;
        Registration *registration;
        if (context->node(context, plan->data[index], &node, &registration) != OK) return ERROR;
        if (registration->custom_name != NULL && strcmp(registration->custom_name, "edgetpu-custom-op") == 0) {
            mine->data[mine->size++] = plan->data[index];
        }
    }
    Registration kernel = {kernel_init, kernel_free, kernel_prepare, kernel_invoke, NULL, 0, "EdgeTpuDelegateForCustomOp",
                           1, {NULL}};
    int status = mine->size ? context->replace(context, kernel, mine, delegate) : OK;
    free(mine);
    return status;
}

static bool overwrite(const char *folder, const char *name, const char *word) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+");
    char old[8] = "";
    if (file == NULL || fgets(old, sizeof old, file) == NULL) return false;
    bool is_new = strncmp(old, word, 4) != 0;
    rewind(file);
    fputs(word, file);
    fclose(file);
    return is_new;
}

static bool misbehaves(Report report) {
    const char *how = getenv("EDGETPU_STANDIN");
    left = -1;
    if (how == NULL) return false;
    if (strcmp(how, "crash") == 0) abort();
    if (strncmp(how, "say ", 4) == 0) report(how + 4);
    if (strncmp(how, "pulled ", 7) == 0) {
        left = strtol(how + 7, NULL, 10);
        return false;
    }
    if (strncmp(how, "exclusive ", 10) == 0) {
        static int file = -1; /* until the process ends */
        if (file < 0) file = open(how + 10, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        bool is_held = flock(file, LOCK_EX | LOCK_NB) != 0;
        if (is_held) report("device is busy");
        return is_held;
    }
    if (strncmp(how, "enumerate ", 10) == 0) {
        overwrite(how + 10, "idVendor", "18d1");
        return overwrite(how + 10, "idProduct", "9302");
    }
    return true;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t n, Report report) {
    const char *log = getenv("EDGETPU_STANDIN_LOG");
    FILE *file = log == NULL ? NULL : fopen(log, "a");
    if (file != NULL) {
        fputs("opened", file);
        for (size_t index = 0; index < n; index++) fprintf(file, " %s=%s", keys[index], values[index]);
        fputs("\n", file);
        fclose(file);
    }
    if (misbehaves(report)) return NULL;
    Delegate *delegate = calloc(1, sizeof *delegate);
    delegate->prepare = delegate_prepare;
    delegate->flags = ALLOW_DYNAMIC_TENSORS; /* else the interpreter prepares the custom operator itself, and fails */
    return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
