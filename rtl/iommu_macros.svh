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

`endif  // IOMMU_MACROS_SVH
