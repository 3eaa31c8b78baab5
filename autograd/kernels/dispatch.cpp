#include "gemm/gemm_backend.h"
#include "variants.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

// Each instruction set's sources fill their part of the table.
#define TAPEGRAD_DECLARE_FILLS(isa)          \
  namespace tapegrad::kernels::isa {         \
  template <class T>                         \
  void fill_gemm(Table<T>& table);           \
  template <class T>                         \
  void fill_softmax(Table<T>& table);        \
  template <class T>                         \
  void fill_norm(Table<T>& table);           \
  template <class T>                         \
  void fill_attention(Table<T>& table);      \
  template <class T>                         \
  void fill_attention_step(Table<T>& table); \
  template <class T>                         \
  void fill_cross_entropy(Table<T>& table);  \
  template <class T>                         \
  void fill_adam(Table<T>& table);           \
  template <class T>                         \
  void fill_dropout(Table<T>& table);        \
  template <class T>                         \
  void fill_elementwise(Table<T>& table);    \
  template <class T>                         \
  void fill_embedding(Table<T>& table);      \
  template <class T>                         \
  Table<T> make_table() {                    \
    Table<T> table;                          \
    fill_gemm(table);                        \
    fill_softmax(table);                     \
    fill_norm(table);                        \
    fill_attention(table);                   \
    fill_attention_step(table);              \
    fill_cross_entropy(table);               \
    fill_adam(table);                        \
    fill_dropout(table);                     \
    fill_elementwise(table);                 \
    fill_embedding(table);                   \
    return table;                            \
  }                                          \
  }

TAPEGRAD_DECLARE_FILLS(generic)
#if TAPEGRAD_X86
TAPEGRAD_DECLARE_FILLS(avx2)
TAPEGRAD_DECLARE_FILLS(avx512)
#endif

namespace tapegrad::kernels {
namespace {

bool available(Isa isa) {
  if (isa == Isa::generic) return true;
#if TAPEGRAD_X86
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

Isa choose_isa() {
  Isa best = available(Isa::avx512) ? Isa::avx512 : available(Isa::avx2) ? Isa::avx2 : Isa::generic;
  if (const char* wish = std::getenv("TAPEGRAD_ISA")) {
    for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512})
      if (std::strcmp(wish, isa_name(isa)) == 0 && isa < best) best = isa;
  }
  return best;
}

template <class T>
const Table<T>& active() {
  static const Table<T> table = [] {
    Table<T> chosen = *variant<T>(active_isa());
    use_gemm_backend(chosen);
    return chosen;
  }();
  return table;
}

}  // namespace

const char* isa_name(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "generic";
}

Isa active_isa() {
  static const Isa isa = choose_isa();
  return isa;
}

template <class T>
const Table<T>* variant(Isa isa) {
  if (!available(isa)) return nullptr;
#if TAPEGRAD_X86
  if (isa == Isa::avx512) {
    static const Table<T> table = avx512::make_table<T>();
    return &table;
  }
  if (isa == Isa::avx2) {
    static const Table<T> table = avx2::make_table<T>();
    return &table;
  }
#endif
  static const Table<T> table = generic::make_table<T>();
  return &table;
}
template const Table<float>* variant(Isa);
template const Table<double>* variant(Isa);

// The public functions: one call through the table.
template <class T>
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b, Index ldb,
          T* c, Index ldc, const T* bias, bool accumulate) {
  active<T>().gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias, accumulate);
}
template <class T>
void gemm_relu(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda, const T* b,
               Index ldb, T* c, Index ldc, const T* bias) {
  active<T>().gemm_relu(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, bias);
}
template <class T>
void softmax(const T* x, T* y, Index rows, Index n) {
  active<T>().softmax(x, y, rows, n);
}
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate) {
  active<T>().softmax_backward(y, dy, dx, rows, n, accumulate);
}
template <class T>
void log_softmax(const T* x, T* y, Index rows, Index n) {
  active<T>().log_softmax(x, y, rows, n);
}
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate) {
  active<T>().log_softmax_backward(y, dy, dx, rows, n, accumulate);
}
template <class T>
void logsumexp(const T* x, T* y, Index rows, Index n) {
  active<T>().logsumexp(x, y, rows, n);
}
template <class T>
void logsumexp_backward(const T* x, const T* y, const T* dy, T* dx, Index rows, Index n, bool accumulate) {
  active<T>().logsumexp_backward(x, y, dy, dx, rows, n, accumulate);
}
template <class T>
void layer_norm(const T* x, const T* gamma, const T* beta, T eps, T* y, T* mean, T* rstd, Index rows,
                Index n) {
  active<T>().layer_norm(x, gamma, beta, eps, y, mean, rstd, rows, n);
}
template <class T>
void layer_norm_backward(const T* x, const T* gamma, const T* mean, const T* rstd, const T* dy, T* dx,
                         T* dgamma, T* dbeta, Index rows, Index n, bool accumulate) {
  active<T>().layer_norm_backward(x, gamma, mean, rstd, dy, dx, dgamma, dbeta, rows, n, accumulate);
}
template <class T>
void add_layer_norm(const AddLayerNormArgs<T>& args) {
  active<T>().add_layer_norm(args);
}
template <class T>
void add_layer_norm_backward(const AddLayerNormArgs<T>& args, const AddLayerNormGradients<T>& grads) {
  active<T>().add_layer_norm_backward(args, grads);
}
template <class T>
void rms_norm(const T* x, const T* gamma, T eps, T* y, T* rstd, Index rows, Index n) {
  active<T>().rms_norm(x, gamma, eps, y, rstd, rows, n);
}
template <class T>
void rms_norm_backward(const T* x, const T* gamma, const T* rstd, const T* dy, T* dx, T* dgamma, Index rows,
                       Index n, bool accumulate) {
  active<T>().rms_norm_backward(x, gamma, rstd, dy, dx, dgamma, rows, n, accumulate);
}
template <class T>
void attention_forward(const AttentionArgs<T>& args) {
  active<T>().attention_forward(args);
}
template <class T>
void attention_backward(const AttentionArgs<T>& args, const AttentionGradients<T>& grads) {
  active<T>().attention_backward(args, grads);
}
template <class T>
void attention_step(const AttentionStepArgs<T>& args) {
  active<T>().attention_step(args);
}
template <class T>
double cross_entropy_forward(const T* logits, const std::int64_t* targets, Index rows, Index vocab,
                             std::int64_t ignore_index, double label_smoothing, T* losses, T* log_sum) {
  return active<T>().cross_entropy_forward(logits, targets, rows, vocab, ignore_index, label_smoothing,
                                           losses, log_sum);
}
template <class T>
void cross_entropy_backward(const T* logits, const std::int64_t* targets, const T* log_sum, const T* dloss,
                            bool per_row, T* dlogits, Index rows, Index vocab, std::int64_t ignore_index,
                            double label_smoothing, bool accumulate) {
  active<T>().cross_entropy_backward(logits, targets, log_sum, dloss, per_row, dlogits, rows, vocab,
                                     ignore_index, label_smoothing, accumulate);
}
template <class T>
void adam(T* param, const T* grad, T* m, T* v, Index n, const AdamArgs& args) {
  active<T>().adam(param, grad, m, v, n, args);
}
template <class T>
void dropout_forward(const T* x, T* y, Index n, double p, RandomKey key, std::uint64_t first_element) {
  active<T>().dropout_forward(x, y, n, p, key, first_element);
}
template <class T>
void dropout_backward(const T* dy, T* dx, Index n, double p, RandomKey key, std::uint64_t first_element,
                      bool accumulate) {
  active<T>().dropout_backward(dy, dx, n, p, key, first_element, accumulate);
}
template <class T>
void exp(const T* x, T* y, Index n) {
  active<T>().exp(x, y, n);
}
template <class T>
void log(const T* x, T* y, Index n) {
  active<T>().log(x, y, n);
}
template <class T>
void tanh(const T* x, T* y, Index n) {
  active<T>().tanh(x, y, n);
}
template <class T>
void sigmoid(const T* x, T* y, Index n) {
  active<T>().sigmoid(x, y, n);
}
template <class T>
void erf(const T* x, T* y, Index n) {
  active<T>().erf(x, y, n);
}
template <class T>
void relu(const T* x, T* y, Index n) {
  active<T>().relu(x, y, n);
}
template <class T>
void relu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  active<T>().relu_backward(x, dy, dx, n, accumulate);
}
template <class T>
void relu_gradient(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias) {
  active<T>().relu_gradient(x, dy, dx, rows, n, dbias);
}
template <class T>
void gelu_gradient(const T* x, const T* dy, T* dx, Index rows, Index n, T* dbias) {
  active<T>().gelu_gradient(x, dy, dx, rows, n, dbias);
}
template <class T>
void embed(const T* table, const std::int64_t* ids, Index count, Index n, T factor, const T* positions,
           Index time, T* y) {
  active<T>().embed(table, ids, count, n, factor, positions, time, y);
}
template <class T>
void embed_backward(const T* dy, const std::int64_t* ids, Index count, Index n, T factor, Index padding,
                    T* dtable, Index time, T* dpositions) {
  active<T>().embed_backward(dy, ids, count, n, factor, padding, dtable, time, dpositions);
}
template <class T>
void gelu(const T* x, T* y, Index n) {
  active<T>().gelu(x, y, n);
}
template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  active<T>().gelu_backward(x, dy, dx, n, accumulate);
}
template <class T>
void gelu_tanh(const T* x, T* y, Index n) {
  active<T>().gelu_tanh(x, y, n);
}
template <class T>
void gelu_tanh_backward(const T* x, const T* dy, T* dx, Index n, bool accumulate) {
  active<T>().gelu_tanh_backward(x, dy, dx, n, accumulate);
}
template <class T>
void add_into(T* dst, const T* src, Index n) {
  active<T>().add_into(dst, src, n);
}
template <class T>
void add(const T* a, const T* b, T* y, Index n) {
  active<T>().add(a, b, y, n);
}
template <class T>
void scale(const T* x, T factor, T* y, Index n) {
  active<T>().scale(x, factor, y, n);
}
template <class T>
T sum(const T* x, Index n) {
  return active<T>().sum(x, n);
}
template <class T>
T sum_squares(const T* x, Index n) {
  return active<T>().sum_squares(x, n);
}
template <class T>
T max(const T* x, Index n) {
  return active<T>().max(x, n);
}
template <class T>
void sum_rows(const T* src, Index rows, Index n, Index ld, T* dst, bool accumulate) {
  active<T>().sum_rows(src, rows, n, ld, dst, accumulate);
}
template <class T>
void transpose(const T* src, Index rows, Index cols, Index ld_src, T* dst, Index ld_dst) {
  active<T>().transpose(src, rows, cols, ld_src, dst, ld_dst);
}

#define TAPEGRAD_INSTANTIATE(name)            \
  template decltype(name<float>) name<float>; \
  template decltype(name<double>) name<double>;
TAPEGRAD_KERNELS(TAPEGRAD_INSTANTIATE)

}  // namespace tapegrad::kernels
