/* The pins of a device under test (docs/pins.md), as one X-macro.
 *
 * IOMMU_PINS_IN(X)  lists what the harness drives, IOMMU_PINS_OUT(X) what the
 * block drives. X(ctype, name, width): `name` is the port of the flat wrapper
 * (sim/sv/iommu_cosim_top.sv) without its `_i`/`_o` suffix, `width` its bits.
 * W(name, width, words) is the same for ports wider than 64 bits, held in
 * `uint32_t[words]`, least significant word first.
 *
 * This file is the only place where the list stands: bindgen makes the Rust
 * structs from it, the C++ shim copies and width-checks by it.
 */
#ifndef IOMMU_PINS_H
#define IOMMU_PINS_H

#include <stdint.h>

/* AXI4 address channel fields that every AW and AR of this block shares. */
#define IOMMU_AXI_ADDR(X, p, idw)                                             \
  X(uint8_t, p##valid, 1)                                                     \
  X(uint8_t, p##id, idw)                                                      \
  X(uint64_t, p##addr, 64)                                                    \
  X(uint8_t, p##len, 8)                                                       \
  X(uint8_t, p##size, 3)                                                      \
  X(uint8_t, p##burst, 2)                                                     \
  X(uint8_t, p##lock, 1)                                                      \
  X(uint8_t, p##cache, 4)                                                     \
  X(uint8_t, p##prot, 3)                                                      \
  X(uint8_t, p##qos, 4)                                                       \
  X(uint8_t, p##region, 4)

/* Sidebands of a device transaction, as AXI5 names them. */
#define IOMMU_MMU_SIDEBAND(X, p)                                              \
  X(uint32_t, p##mmusid, 24)                                                  \
  X(uint8_t, p##mmussidv, 1)                                                  \
  X(uint32_t, p##mmussid, 20)                                                 \
  X(uint8_t, p##mmuatst, 1)

#define IOMMU_PINS_IN(X, W)                                                   \
  X(uint8_t, rst_n, 1)                                                        \
  X(uint64_t, cfg_caps, 64)                                                   \
  /* s_reg: AXI4-Lite, the register page */                                   \
  X(uint8_t, s_reg_awvalid, 1)                                                \
  X(uint16_t, s_reg_awaddr, 12)                                               \
  X(uint8_t, s_reg_awprot, 3)                                                 \
  X(uint8_t, s_reg_wvalid, 1)                                                 \
  X(uint64_t, s_reg_wdata, 64)                                                \
  X(uint8_t, s_reg_wstrb, 8)                                                  \
  X(uint8_t, s_reg_bready, 1)                                                 \
  X(uint8_t, s_reg_arvalid, 1)                                                \
  X(uint16_t, s_reg_araddr, 12)                                               \
  X(uint8_t, s_reg_arprot, 3)                                                 \
  X(uint8_t, s_reg_rready, 1)                                                 \
  /* s_dev: AXI4 subordinate, device traffic */                               \
  IOMMU_AXI_ADDR(X, s_dev_aw, 8)                                              \
  X(uint8_t, s_dev_awatop, 6)                                                 \
  IOMMU_MMU_SIDEBAND(X, s_dev_aw)                                             \
  X(uint8_t, s_dev_wvalid, 1)                                                 \
  X(uint64_t, s_dev_wdata, 64)                                                \
  X(uint8_t, s_dev_wstrb, 8)                                                  \
  X(uint8_t, s_dev_wlast, 1)                                                  \
  X(uint8_t, s_dev_bready, 1)                                                 \
  IOMMU_AXI_ADDR(X, s_dev_ar, 8)                                              \
  IOMMU_MMU_SIDEBAND(X, s_dev_ar)                                             \
  X(uint8_t, s_dev_rready, 1)                                                 \
  /* m_dev: AXI4 manager, the same traffic translated */                      \
  X(uint8_t, m_dev_awready, 1)                                                \
  X(uint8_t, m_dev_wready, 1)                                                 \
  X(uint8_t, m_dev_bvalid, 1)                                                 \
  X(uint8_t, m_dev_bid, 8)                                                    \
  X(uint8_t, m_dev_bresp, 2)                                                  \
  X(uint8_t, m_dev_arready, 1)                                                \
  X(uint8_t, m_dev_rvalid, 1)                                                 \
  X(uint8_t, m_dev_rid, 8)                                                    \
  X(uint64_t, m_dev_rdata, 64)                                                \
  X(uint8_t, m_dev_rresp, 2)                                                  \
  X(uint8_t, m_dev_rlast, 1)                                                  \
  /* m_mem: AXI4 manager with AXI5 atomics and rpoison */                     \
  X(uint8_t, m_mem_awready, 1)                                                \
  X(uint8_t, m_mem_wready, 1)                                                 \
  X(uint8_t, m_mem_bvalid, 1)                                                 \
  X(uint8_t, m_mem_bid, 6)                                                    \
  X(uint8_t, m_mem_bresp, 2)                                                  \
  X(uint8_t, m_mem_arready, 1)                                                \
  X(uint8_t, m_mem_rvalid, 1)                                                 \
  X(uint8_t, m_mem_rid, 6)                                                    \
  X(uint64_t, m_mem_rdata, 64)                                                \
  X(uint8_t, m_mem_rresp, 2)                                                  \
  X(uint8_t, m_mem_rlast, 1)                                                  \
  X(uint8_t, m_mem_rpoison, 1)                                                \
  /* ATS, device to IOMMU: translation request, invalidation completion,      \
     page request (and stop marker); IOMMU to device: ready only */           \
  X(uint8_t, s_ats_tr_valid, 1)                                               \
  W(s_ats_tr_data, 131, 5)                                                    \
  X(uint8_t, s_ats_ic_valid, 1)                                               \
  X(uint64_t, s_ats_ic_data, 59)                                              \
  X(uint8_t, s_ats_pr_valid, 1)                                               \
  W(s_ats_pr_data, 111, 4)                                                    \
  X(uint8_t, m_ats_tc_ready, 1)                                               \
  X(uint8_t, m_ats_inv_ready, 1)                                              \
  X(uint8_t, m_ats_prgr_ready, 1)                                             \
  X(uint8_t, ats_timeout, 1)

#define IOMMU_PINS_OUT(X, W)                                                  \
  X(uint8_t, s_reg_awready, 1)                                                \
  X(uint8_t, s_reg_wready, 1)                                                 \
  X(uint8_t, s_reg_bvalid, 1)                                                 \
  X(uint8_t, s_reg_bresp, 2)                                                  \
  X(uint8_t, s_reg_arready, 1)                                                \
  X(uint8_t, s_reg_rvalid, 1)                                                 \
  X(uint64_t, s_reg_rdata, 64)                                                \
  X(uint8_t, s_reg_rresp, 2)                                                  \
  X(uint8_t, s_dev_awready, 1)                                                \
  X(uint8_t, s_dev_wready, 1)                                                 \
  X(uint8_t, s_dev_bvalid, 1)                                                 \
  X(uint8_t, s_dev_bid, 8)                                                    \
  X(uint8_t, s_dev_bresp, 2)                                                  \
  X(uint8_t, s_dev_arready, 1)                                                \
  X(uint8_t, s_dev_rvalid, 1)                                                 \
  X(uint8_t, s_dev_rid, 8)                                                    \
  X(uint64_t, s_dev_rdata, 64)                                                \
  X(uint8_t, s_dev_rresp, 2)                                                  \
  X(uint8_t, s_dev_rlast, 1)                                                  \
  IOMMU_AXI_ADDR(X, m_dev_aw, 8)                                              \
  X(uint8_t, m_dev_awatop, 6)                                                 \
  X(uint32_t, m_dev_awuser, 26)                                               \
  X(uint8_t, m_dev_wvalid, 1)                                                 \
  X(uint64_t, m_dev_wdata, 64)                                                \
  X(uint8_t, m_dev_wstrb, 8)                                                  \
  X(uint8_t, m_dev_wlast, 1)                                                  \
  X(uint8_t, m_dev_bready, 1)                                                 \
  IOMMU_AXI_ADDR(X, m_dev_ar, 8)                                              \
  X(uint32_t, m_dev_aruser, 26)                                               \
  X(uint8_t, m_dev_rready, 1)                                                 \
  IOMMU_AXI_ADDR(X, m_mem_aw, 6)                                              \
  X(uint8_t, m_mem_awatop, 6)                                                 \
  X(uint32_t, m_mem_awuser, 24)                                               \
  X(uint8_t, m_mem_wvalid, 1)                                                 \
  X(uint64_t, m_mem_wdata, 64)                                                \
  X(uint8_t, m_mem_wstrb, 8)                                                  \
  X(uint8_t, m_mem_wlast, 1)                                                  \
  X(uint8_t, m_mem_bready, 1)                                                 \
  IOMMU_AXI_ADDR(X, m_mem_ar, 6)                                              \
  X(uint32_t, m_mem_aruser, 24)                                               \
  X(uint8_t, m_mem_rready, 1)                                                 \
  X(uint8_t, s_ats_tr_ready, 1)                                               \
  X(uint8_t, s_ats_ic_ready, 1)                                               \
  X(uint8_t, s_ats_pr_ready, 1)                                               \
  X(uint8_t, m_ats_tc_valid, 1)                                               \
  W(m_ats_tc_data, 78, 3)                                                     \
  X(uint8_t, m_ats_inv_valid, 1)                                              \
  W(m_ats_inv_data, 115, 4)                                                   \
  X(uint8_t, m_ats_prgr_valid, 1)                                             \
  X(uint64_t, m_ats_prgr_data, 59)                                            \
  X(uint16_t, wsi, 16)

#define IOMMU_PIN_FIELD(ctype, name, width) ctype name;
#define IOMMU_PIN_WIDE(name, width, words) uint32_t name[words];

/* What the harness drives in a clock. */
typedef struct PinsIn {
  IOMMU_PINS_IN(IOMMU_PIN_FIELD, IOMMU_PIN_WIDE)
} PinsIn;

/* What the block drives in a clock, as flip-flops at its pins would sample it. */
typedef struct PinsOut {
  IOMMU_PINS_OUT(IOMMU_PIN_FIELD, IOMMU_PIN_WIDE)
} PinsOut;

#endif
