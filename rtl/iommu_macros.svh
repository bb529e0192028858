// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Named assertions. `IOMMU_ASSERT(name, expr)` demands `expr` at every rising
// edge of clk_i outside reset; it is empty for synthesis. A failure names the
// assertion, the instance and the source line.

`ifndef IOMMU_MACROS_SVH
`define IOMMU_MACROS_SVH

`ifdef SYNTHESIS
`define IOMMU_NO_ASSERT
`endif
`ifdef YOSYS
`define IOMMU_NO_ASSERT
`endif

`ifdef IOMMU_NO_ASSERT
`define IOMMU_ASSERT(__name, __expr)
`else
// An always block with the design's own reset, not a property: Verilator takes
// the latter's "disable iff" for a synchronous use of an asynchronous reset.
`define IOMMU_ASSERT(__name, __expr)                                                  \
  always @(posedge clk_i or negedge rst_ni)                                           \
    if (rst_ni) begin : __name                                                        \
      assert (__expr)                                                                 \
      else $error("assertion %s failed at %s:%0d", `"__name`", `__FILE__, `__LINE__); \
    end
`endif

// State machines, for models that count coverage (IOMMU_COVERAGE); else empty.
// `IOMMU_FSM(type, state)` stands once beside a state register whose reset value
// is 0, and `IOMMU_ARC(from, to)` once for each arc that it can take. What was
// counted shows whether an arc is missing in the list: the changes of the
// register are counted as well.
`ifdef IOMMU_COVERAGE
`define IOMMU_FSM(__type, __state)                                                          \
  __type fsm_now, fsm_past;                                                                 \
  assign fsm_now = __state;                                                                 \
  always_ff @(posedge clk_i or negedge rst_ni)                                              \
    if (!rst_ni) fsm_past <= __type'(0);                                                    \
    else fsm_past <= fsm_now;                                                               \
  fsm_change : cover property (@(posedge clk_i) rst_ni && fsm_past != fsm_now);
`define IOMMU_ARC(__from, __to)                                                             \
  arc_``__from``_to_``__to :                                                                \
  cover property (@(posedge clk_i) rst_ni && fsm_past == __from && fsm_now == __to);
`else
`define IOMMU_FSM(__type, __state)
`define IOMMU_ARC(__from, __to)
`endif

`endif  // IOMMU_MACROS_SVH
