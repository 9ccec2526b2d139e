// A backend of ggml: products with quantised weights on quintile's kernels, everything else on ggml's own CPU backend.
//
//     GGML_BACKEND_PATH=libggml-quintile.so llama-cli -m model.gguf ..
//
// A program of llama.cpp that was built without knowing of it loads it so. Weights stay as they are, mapped from the file: nothing is
// packed, and no memory is taken twice.
//
// How: the device claims every operation that the CPU backend claims, so that the scheduler leaves whole graphs to it. Before it passes one
// on to a CPU backend of its own, it turns each product that it takes into a GGML_OP_CUSTOM, which that backend calls on each of its threads;
// afterwards it turns them back. So there are one pool of threads and one barrier between operations, those of ggml.

#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml-impl.h"
#include "ggml.h"

#include <quintile.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#ifndef QUINTILE_GGML_VERSION
#error "QUINTILE_GGML_VERSION is the version of ggml whose headers these are: scripts/build-ggml-backend.sh"
#endif

namespace {

// ---- One product

// Memory that begins where quintile wants activations to.
class Aligned {
  public:
    // Whether there is so much memory.
    bool reserve(size_t bytes) {
        if (bytes > size) {
            data.reset(static_cast<char *>(ggml_aligned_malloc(bytes)), [bytes](char * p) { ggml_aligned_free(p, bytes); });
            GGML_ASSERT(reinterpret_cast<uintptr_t>(data.get()) % QUINTILE_ALIGNMENT == 0);
            size = data ? bytes : 0;
        }
        return bytes <= size;
    }
    char * get() const { return data.get(); }

  private:
    std::shared_ptr<char> data;
    size_t size = 0;
};

// Whether `op` is a product that quintile computes: a matrix in one of its quantised formats times columns of f32.
bool takes(const ggml_tensor * op) {
    if (op->op != GGML_OP_MUL_MAT) {
        return false;
    }
    const ggml_tensor * w = op->src[0];
    const ggml_tensor * x = op->src[1];
    size_t row_bytes = 0;
    return ggml_is_quantized(w->type) && quintile_format_name(w->type) != nullptr
        && quintile_row_bytes(w->type, w->ne[0], &row_bytes) == QUINTILE_STATUS_OK
        && ggml_is_matrix(w) && ggml_is_contiguous(w) && row_bytes == w->nb[1]
        && x->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32
        && ggml_is_matrix(x) && x->nb[0] == sizeof(float) && x->nb[1] % sizeof(float) == 0 && x->nb[1] >= x->ne[0] * sizeof(float)
        && op->nb[0] == sizeof(float) && op->nb[1] % sizeof(float) == 0;
}

// A product while its graph is computed.
struct Product {
    ggml_tensor * node;
    // What the node was.
    decltype(ggml_tensor::op_params) op_params;

    quintile_plan plan;
    quintile_product product;
    const float * x;
    size_t x_len, x_stride;
    // Shared by all products of the backend, which are computed one after the other.
    char * activations;
    char * scratch;
    // Of whom each has its scratch.
    int threads;

    // Threads that have made their columns of the activations, and parts of the rows that were given out.
    std::atomic<int> ready{0}, parts{0};
    std::atomic<quintile_status> status{QUINTILE_STATUS_OK};

    void fail(quintile_status got) {
        if (got != QUINTILE_STATUS_OK) {
            status.store(got, std::memory_order_relaxed);
        }
    }

    void run(int ith, int nth) {
        GGML_ASSERT(nth <= threads);
        const size_t columns = product.columns, first = columns * ith / nth, end = columns * (ith + 1) / nth;
        if (first < end) {
            fail(quintile_activations(&plan, x, x_len, x_stride, first, end - first, activations, columns * plan.column_bytes));
        }
        // All threads of the backend are here or on their way: ggml's barriers wait likewise.
        ready.fetch_add(1, std::memory_order_acq_rel);
        for (int spins = 0; ready.load(std::memory_order_acquire) < nth;) {
            if (spins < 1 << 14) {
                spins++;
#if defined(__x86_64__) || defined(_M_X64)
                _mm_pause();
#endif
            } else {
                std::this_thread::yield();
            }
        }
        if (status.load(std::memory_order_relaxed) != QUINTILE_STATUS_OK) {
            return;
        }
        // More parts than threads: one that is interrupted takes fewer. Never so many that a part has but a few rows.
        const int most = std::max<int>(nth, plan.rows / 64);
        const int count = std::min(most, nth == 1 ? 1 : 8 * nth);
        for (int part; (part = parts.fetch_add(1, std::memory_order_relaxed)) < count;) {
            fail(quintile_run(&plan, &product, scratch + ith * plan.scratch_bytes, plan.scratch_bytes, part, count));
        }
    }

    static void entry(ggml_tensor *, int ith, int nth, void * userdata) { static_cast<Product *>(userdata)->run(ith, nth); }
};

// ---- The backend

struct Context {
    // Computes what is not ours, and has the threads.
    ggml_backend_t cpu;
    int threads = GGML_DEFAULT_N_THREADS;
    Aligned activations, scratch;
    // Where it stays: threads hold pointers.
    std::deque<Product> products;
};

// The CPU backend may be a library that was loaded like this one: its functions are asked for by name.
void set_threads(ggml_backend_t backend, int threads) {
    Context * context = static_cast<Context *>(backend->context);
    auto * registry   = ggml_backend_dev_backend_reg(ggml_backend_get_device(context->cpu));
    auto * set        = ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_n_threads");
    if (set != nullptr) {
        reinterpret_cast<ggml_backend_set_n_threads_t>(set)(context->cpu, threads);
        context->threads = threads;
    }
}

// Turns a product into an operation of ours.
ggml_status replace(Context & context, ggml_tensor * node) {
    const ggml_tensor * w = node->src[0];
    const ggml_tensor * x = node->src[1];
    Product & p = context.products.emplace_back();
    p.node = node;
    memcpy(p.op_params, node->op_params, sizeof(p.op_params));
    const size_t columns = x->ne[1];
    const quintile_status status = quintile_plan_init(&p.plan, nullptr, w->type, w->ne[1], w->ne[0], columns);
    if (status != QUINTILE_STATUS_OK) {
        GGML_LOG_ERROR("quintile: %s, %s of %s: %s\n", node->name, ggml_type_name(w->type), w->name, quintile_status_text(status));
        context.products.pop_back();
        return GGML_STATUS_FAILED;
    }
    p.x        = static_cast<const float *>(x->data);
    p.x_stride = x->nb[1] / sizeof(float);
    p.x_len    = (columns - 1) * p.x_stride + p.plan.k;

    p.product               = {};
    p.product.weights       = w->data;
    p.product.weights_bytes = p.plan.rows * p.plan.row_bytes;
    p.product.columns       = columns;
    p.product.out           = static_cast<float *>(node->data);
    p.product.out_stride    = node->nb[1] / sizeof(float);
    p.product.out_len       = (columns - 1) * p.product.out_stride + p.plan.rows;

    const ggml_custom_op_params params = { Product::entry, GGML_N_TASKS_MAX, &p };
    static_assert(sizeof(params) <= sizeof(node->op_params), "the parameters of an operation of ours fit");
    node->op = GGML_OP_CUSTOM;
    memcpy(node->op_params, &params, sizeof(params));
    return GGML_STATUS_SUCCESS;
}

ggml_status compute(ggml_backend_t backend, ggml_cgraph * graph) {
    Context & context = *static_cast<Context *>(backend->context);
    context.products.clear();
    ggml_status status = GGML_STATUS_SUCCESS;
    size_t activations = 0, scratch = 0;
    for (int i = 0; i < ggml_graph_n_nodes(graph) && status == GGML_STATUS_SUCCESS; i++) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        if ((node->flags & GGML_TENSOR_FLAG_COMPUTE) != 0 && takes(node) && !ggml_is_empty(node)) {
            status = replace(context, node);
            if (status == GGML_STATUS_SUCCESS) {
                const Product & p = context.products.back();
                activations = std::max(activations, p.product.columns * p.plan.column_bytes);
                scratch     = std::max(scratch, p.plan.scratch_bytes);
            }
        }
    }
    if (status == GGML_STATUS_SUCCESS && !(context.activations.reserve(activations) && context.scratch.reserve(scratch * context.threads))) {
        GGML_LOG_ERROR("quintile: no memory for activations, %zu bytes, and scratch, %zu bytes\n", activations, scratch * context.threads);
        status = GGML_STATUS_ALLOC_FAILED;
    }
    if (status == GGML_STATUS_SUCCESS) {
        for (Product & p : context.products) {
            p.activations               = context.activations.get();
            p.product.activations       = p.activations;
            p.product.activations_bytes = p.product.columns * p.plan.column_bytes;
            p.scratch                   = context.scratch.get();
            p.threads                   = context.threads;
        }
        status = ggml_backend_graph_compute(context.cpu, graph);
    }
    for (Product & p : context.products) {
        p.node->op = GGML_OP_MUL_MAT;
        memcpy(p.node->op_params, p.op_params, sizeof(p.op_params));
        const quintile_status got = p.status.load();
        if (got != QUINTILE_STATUS_OK) {
            GGML_LOG_ERROR("quintile: %s, %s of %s: %s\n", p.node->name, ggml_type_name(p.node->src[0]->type), p.node->src[0]->name,
                quintile_status_text(got));
            status = GGML_STATUS_FAILED;
        }
    }
    return status;
}

const char * name(ggml_backend_t) {
    return "Quintile";
}

void free_backend(ggml_backend_t backend) {
    Context * context = static_cast<Context *>(backend->context);
    ggml_backend_free(context->cpu);
    delete context;
    delete backend;
}

ggml_backend_i backend_interface() {
    ggml_backend_i i = {};
    i.get_name       = name;
    i.free           = free_backend;
    i.graph_compute  = compute;
    return i;
}

ggml_guid_t guid() {
    static ggml_guid id = { 0x71, 0x75, 0x69, 0x6e, 0x74, 0x69, 0x6c, 0x65, 0x2d, 0x67, 0x67, 0x6d, 0x6c, 0x2d, 0x30, 0x31 };
    return &id;
}

// ---- Buffers: the CPU's, under a name of their own, so that weights are not repacked for the CPU's kernels

const char * buffer_name(ggml_backend_buffer_type_t) {
    return "Quintile";
}

ggml_backend_buffer_t ours(ggml_backend_buffer_t buffer, ggml_backend_buffer_type_t type) {
    if (buffer != nullptr) {
        buffer->buft = type;
    }
    return buffer;
}

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    return ours(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size), type);
}

size_t buffer_alignment(ggml_backend_buffer_type_t) {
    return ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type());
}

bool is_host(ggml_backend_buffer_type_t) {
    return true;
}

// ---- The device

ggml_backend_dev_t cpu_device() {
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

ggml_backend_buffer_type_t buffer_type(ggml_backend_dev_t device) {
    static ggml_backend_buffer_type type = [&] {
        ggml_backend_buffer_type t = {};
        t.iface.get_name           = buffer_name;
        t.iface.alloc_buffer       = allocate;
        t.iface.get_alignment      = buffer_alignment;
        t.iface.is_host            = is_host;
        t.device                   = device;
        return t;
    }();
    return &type;
}

ggml_backend_buffer_t from_host_pointer(ggml_backend_dev_t device, void * pointer, size_t size, size_t) {
    return ours(ggml_backend_cpu_buffer_from_ptr(pointer, size), buffer_type(device));
}

const char * device_name(ggml_backend_dev_t) {
    return "Quintile";
}

const char * device_description(ggml_backend_dev_t) {
    static const std::string text = std::string("quintile ") + quintile_version() + ", " + quintile_level_name(UINT32_MAX);
    return text.c_str();
}

void device_memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    ggml_backend_dev_memory(cpu_device(), free, total);
}

enum ggml_backend_dev_type device_type(ggml_backend_dev_t) {
    // As a GPU in the CPU's memory. Layers are left to such a device whole, and to a GPU of its own instead where there is one; beside
    // an accelerator, llama.cpp would keep each norm on the CPU backend, and cut the graph in two for it.
    return GGML_BACKEND_DEVICE_TYPE_IGPU;
}

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props * props) {
    *props                           = {};
    props->name                      = device_name(device);
    props->description               = device_description(device);
    props->type                      = device_type(device);
    device_memory(device, &props->memory_free, &props->memory_total);
    props->caps.buffer_from_host_ptr = true;
    props->caps.mmap_support         = true;
}

ggml_backend_t init_backend(ggml_backend_dev_t device, const char *) {
    ggml_backend_t cpu = ggml_backend_dev_init(cpu_device(), nullptr);
    if (cpu == nullptr) {
        return nullptr;
    }
    Context * context = new Context{};
    context->cpu      = cpu;
    return new ggml_backend{ guid(), backend_interface(), device, context };
}

bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) {
    return takes(op) || ggml_backend_dev_supports_op(cpu_device(), op);
}

bool supports_buffer(ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
    return ggml_backend_buft_is_host(type) || ggml_backend_dev_supports_buft(cpu_device(), type);
}

ggml_backend_device_i device_interface() {
    ggml_backend_device_i i = {};
    i.get_name              = device_name;
    i.get_description       = device_description;
    i.get_memory            = device_memory;
    i.get_type              = device_type;
    i.get_props             = device_properties;
    i.init_backend          = init_backend;
    i.get_buffer_type       = buffer_type;
    i.buffer_from_host_ptr  = from_host_pointer;
    i.supports_op           = supports_op;
    i.supports_buft         = supports_buffer;
    return i;
}

// ---- What is registered

const char * registry_name(ggml_backend_reg_t) {
    return "Quintile";
}

size_t device_count(ggml_backend_reg_t) {
    return 1;
}

ggml_backend_dev_t device_at(ggml_backend_reg_t registry, size_t) {
    static ggml_backend_device device = { device_interface(), registry, nullptr };
    return &device;
}

void * procedure(ggml_backend_reg_t, const char * wanted) {
    return strcmp(wanted, "ggml_backend_set_n_threads") == 0 ? reinterpret_cast<void *>(set_threads) : nullptr;
}

// Why this program's ggml cannot be worked with; empty if it can.
std::string mismatch() {
    if (strcmp(ggml_version(), QUINTILE_GGML_VERSION) != 0) {
        return std::string("this program has ggml ") + ggml_version() + ", the backend was built for " QUINTILE_GGML_VERSION;
    }
    // What the version does not tell, since ggml is changed under its number: the size of a tensor, behind the 32 bytes of what lists
    // it, and the numbers of operations.
    if (ggml_tensor_overhead() != 32 + sizeof(ggml_tensor) || strcmp(ggml_op_name(GGML_OP_CUSTOM), "CUSTOM") != 0) {
        return "this program's ggml has other structures than the headers that the backend was built with";
    }
    if (quintile_abi_version() != QUINTILE_ABI_VERSION) {
        return "libquintile has another interface than its header";
    }
    return {};
}

} // namespace

extern "C" {

// 0 where the backend must not be used, which the loader takes for an answer.
GGML_BACKEND_API int ggml_backend_score(void) {
    const std::string why = mismatch();
    if (!why.empty()) {
        GGML_LOG_WARN("quintile: not used: %s\n", why.c_str());
    }
    return why.empty() ? 1 : 0;
}

GGML_BACKEND_API ggml_backend_reg_t ggml_backend_init(void) {
    static ggml_backend_reg registry = { GGML_BACKEND_API_VERSION, { registry_name, device_count, device_at, procedure }, nullptr };
    return mismatch().empty() ? &registry : nullptr;
}

}
