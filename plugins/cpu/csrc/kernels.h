/* The compute kernels' interface: a plan (operand layouts and attributes, made once per signature) and the
 * operands' addresses. */
#ifndef FBK_KERNELS_H
#define FBK_KERNELS_H
#include <stdint.h>
/* Every kernel returns 0, or a count, when it has done its work; FBK_ENOMEM; FBK_EUNSUP: not these operands;
   FBK_EINDEX - pos: the index at flat position pos is out of bounds. An absent operand has dtype -1 and
   address 0. */
//@cdef
typedef struct {
    int32_t dtype, ndim;
    int64_t shape[24], stride[24];
} fbk_spec;
typedef struct {
    int64_t nt, ia[14];
    double fa[3];
    fbk_spec t[10];
} fbk_plan;
enum { FBK_ENOMEM = -2, FBK_EUNSUP = -3, FBK_EINDEX = -16 };
int64_t fbk_attention(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_attention_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_avg_pool(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_avg_pool_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_batch_norm(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_batch_norm_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_conv(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_conv_bwd_input(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_conv_bwd_weight(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_cross_entropy(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_cross_entropy_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_embedding_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_gather(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_group_norm(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_group_norm_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_gru(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_gru_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_layer_norm(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_layer_norm_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_lstm(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_lstm_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_masked_scatter(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_masked_select(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_matmul(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_max_pool(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_max_pool_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_nll(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_nll_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_nonzero(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_nonzero_count(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_reduce(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_scan(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_scatter(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_softmax(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_softmax_bwd(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_sort(const fbk_plan *p, const uintptr_t *at);
int64_t fbk_topk(const fbk_plan *p, const uintptr_t *at);
//@end
#define FBK_ENTRY(name) FBC_KERNEL(int64_t, name, (const fbk_plan *p, const uintptr_t *at), (p, at))
#endif
