// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The hardware performance monitor: iocountovf, iocountinh, iohpmcycles,
// iohpmctr and iohpmevt (sections of those names). Events come on several
// ports, one transaction a port and cycle; a counter takes those of its
// eventID that pass its filter, one cycle later (two with TimingCuts). A write by
// software wins over counting in the same cycle; an overflow then comes after it.

`include "iommu_macros.svh"

module iommu_hpm
  import iommu_pkg::*;
#(
    parameter int unsigned NumCtr = 7,  // event counters, 1 to 31
    parameter bit TimingCuts = 1'b0     // a register between filter and counter
) (
    input  logic        clk_i,       // clock
    input  logic        rst_ni,      // asynchronous reset, active low
    input  logic        present_i,   // capabilities.HPM

    // what is counted
    input  hpm_event_t  [HpmPorts-1:0] event_i,

    // register access: the word is an address divided by 8
    input  logic [1:0]  wr_en_i,     // write of {high, low} half
    input  logic [8:0]  wr_word_i,
    input  logic [63:0] wr_data_i,
    input  logic        rd_en_i,
    input  logic [8:0]  rd_word_i,
    output logic [63:0] rd_data_o,   // 0 for a word that is not here

    output logic        overflow_o   // pulse: an OF bit has risen by counting
);

  localparam logic [8:0] WordOvfInh = 9'(88 / 8);   // iocountovf, iocountinh
  localparam logic [8:0] WordCycles = 9'(96 / 8);
  localparam logic [8:0] WordCtr    = 9'(104 / 8);  // of counter 1
  localparam logic [8:0] WordEvt    = 9'(352 / 8);  // of counter 1

  localparam logic [14:0] LastEvent = 15'd8;

  // iohpmevt without OF.
  typedef struct packed {
    logic        idt;
    logic        dv_gscv;
    logic        pv_pscv;
    logic [23:0] did_gscid;
    logic [19:0] pid_pscid;
    logic        dmask;
    logic [3:0]  id;  // eventID: 0 to 8 are legal
  } evt_t;

  logic [NumCtr:0]              inh_q;     // bit 0: cycles
  logic [NumCtr:0]              of_q;
  logic [62:0]                  cycles_q;
  logic [63:0]                  ctr_q[1:NumCtr];
  evt_t                         evt_q[1:NumCtr];
  hpm_event_t [HpmPorts-1:0]    ev_q;
  logic                         overflow_q;

  // ---------------------------------------------------------------- filters
  // IDT 1 is supported by the events of page-table walks: 4, 7 and 8.
  function automatic logic idt_ok(input logic [3:0] id);
    return id == 4'd4 || id == 4'd7 || id == 4'd8;
  endfunction

  // With DMASK, bits of the device_id or GSCID that are not compared: up to the first 0.
  function automatic logic [23:0] low_bits(input logic [23:0] id);
    return id ^ (id + 24'd1);
  endfunction

  function automatic logic counts(input hpm_event_t ev, input evt_t evt, input logic [23:0] low);
    logic [23:0] masked;
    logic        ids, pid_ok, did_ok;
    logic [8:0]  ev_by_id;
    ev_by_id = {ev.ev, 1'b0};
    masked   = evt.dmask ? low : '0;
    if (evt.idt) begin
      ids    = idt_ok(evt.id);
      pid_ok = ev.pscv && ev.pscid == evt.pid_pscid;
      did_ok = ev.gscv && ((24'(ev.gscid) ^ evt.did_gscid) & ~masked) == '0;
    end else begin
      ids    = 1'b1;
      pid_ok = ev.pv && ev.pid == evt.pid_pscid;
      did_ok = ((ev.did ^ evt.did_gscid) & ~masked) == '0;
    end
    return ids && evt.id <= 4'(LastEvent) && ev_by_id[evt.id] && (pid_ok || !evt.pv_pscv) && (did_ok || !evt.dv_gscv);
  endfunction

  logic [NumCtr:1][23:0] low;
  localparam int unsigned IncW = $clog2(HpmPorts + 1);
  logic [NumCtr:1][IncW-1:0] inc_d, inc;
  logic                      any_event, any_inc;

  always_comb begin
    any_event = 1'b0;
    for (int unsigned p = 0; p < HpmPorts; p++) any_event = any_event || ev_q[p].ev != '0;
  end

  always_comb begin
    inc_d = '0;
    if (any_event) begin
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        if (!inh_q[c] && evt_q[c].id != '0) begin
          for (int unsigned p = 0; p < HpmPorts; p++) inc_d[c] = inc_d[c] + IncW'(counts(ev_q[p], evt_q[c], low[c]));
        end
      end
    end
  end

  if (TimingCuts) begin : gen_cut
    logic [NumCtr:1][IncW-1:0] inc_q;
    logic                      any_q;
    logic [NumCtr:1][23:0]     low_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        inc_q    <= '0;
        any_q    <= 1'b0;
        low_q <= '0;
      end else begin
        inc_q <= inc_d;
        any_q <= any_event;
        for (int unsigned c = 1; c <= NumCtr; c++) low_q[c] <= low_bits(evt_q[c].did_gscid);
      end
    end
    assign inc     = inc_q;
    assign any_inc = any_q;
    assign low     = low_q;
  end else begin : gen_no_cut
    assign inc     = inc_d;
    assign any_inc = any_event;
    always_comb begin
      low = '0;
      if (any_event) for (int unsigned c = 1; c <= NumCtr; c++) low[c] = low_bits(evt_q[c].did_gscid);
    end
  end

  // ---------------------------------------------------------------- counters
  logic [NumCtr:1] wr_ctr, wr_evt;  // the word of that register
  logic            wr_cycles;

  assign wr_cycles = wr_word_i == WordCycles;
  always_comb begin
    for (int unsigned c = 1; c <= NumCtr; c++) begin
      wr_ctr[c] = wr_word_i == WordCtr + 9'(c - 1);
      wr_evt[c] = wr_word_i == WordEvt + 9'(c - 1);
    end
  end

  logic [63:0]     cycles_next;  // OF's place takes the carry
  logic [NumCtr:0] ovf;          // the counter overflows in this cycle
  logic [64:0]     ctr_next[1:NumCtr];

  assign cycles_next = {1'b0, cycles_q} + 64'd1;

  always_comb begin
    ovf[0] = present_i && !inh_q[0] && cycles_next[63] && !(wr_cycles && wr_en_i != '0);
    for (int unsigned c = 1; c <= NumCtr; c++) begin
      ctr_next[c] = {1'b0, ctr_q[c]} + 65'(inc[c]);
      ovf[c]      = ctr_next[c][64] && !(wr_ctr[c] && wr_en_i != '0);
    end
  end

  // OF after software's write, before counting.
  logic [NumCtr:0] of_written;
  always_comb begin
    of_written = of_q;
    if (wr_cycles && wr_en_i[1]) of_written[0] = wr_data_i[63];
    for (int unsigned c = 1; c <= NumCtr; c++) if (wr_evt[c] && wr_en_i[1]) of_written[c] = wr_data_i[63];
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      inh_q      <= '0;
      of_q       <= '0;
      cycles_q   <= '0;
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        ctr_q[c] <= '0;
        evt_q[c] <= '0;
      end
      ev_q       <= '0;
      overflow_q <= 1'b0;
    end else begin
      // From the first clock after reset, when capabilities are not known yet.
      if (!inh_q[0]) cycles_q <= cycles_next[62:0];
      if (present_i) begin
        ev_q       <= event_i;
        of_q       <= of_written | ovf;
        overflow_q <= (ovf & ~of_written) != '0;
      end
      if (any_inc) begin
        for (int unsigned c = 1; c <= NumCtr; c++) ctr_q[c] <= ctr_next[c][63:0];
      end
      if (present_i && wr_en_i != '0) begin
        if (wr_word_i == WordOvfInh && wr_en_i[1]) inh_q <= wr_data_i[32+NumCtr:32];
        if (wr_cycles) begin
          cycles_q <= {wr_en_i[1] ? wr_data_i[62:32] : cycles_q[62:32], wr_en_i[0] ? wr_data_i[31:0] : cycles_q[31:0]};
        end
        for (int unsigned c = 1; c <= NumCtr; c++) begin
          if (wr_ctr[c]) begin
            ctr_q[c] <= {wr_en_i[1] ? wr_data_i[63:32] : ctr_q[c][63:32], wr_en_i[0] ? wr_data_i[31:0] : ctr_q[c][31:0]};
          end
          if (wr_evt[c] && wr_en_i[0]) begin
            if (wr_data_i[14:0] <= LastEvent) evt_q[c].id <= wr_data_i[3:0];
            evt_q[c].dmask           <= wr_data_i[15];
            evt_q[c].pid_pscid[15:0] <= wr_data_i[31:16];
          end
          if (wr_evt[c] && wr_en_i[1]) begin
            evt_q[c].pid_pscid[19:16] <= wr_data_i[35:32];
            evt_q[c].did_gscid        <= wr_data_i[59:36];
            evt_q[c].pv_pscv          <= wr_data_i[60];
            evt_q[c].dv_gscv          <= wr_data_i[61];
            evt_q[c].idt              <= wr_data_i[62];
          end
        end
      end
    end
  end

  assign overflow_o = overflow_q;

  // ---------------------------------------------------------------- reads
  always_comb begin
    rd_data_o = '0;
    if (rd_en_i && present_i) begin
      if (rd_word_i == WordOvfInh) begin
        rd_data_o[NumCtr:0]     = of_q;
        rd_data_o[32+NumCtr:32] = inh_q;
      end
      if (rd_word_i == WordCycles) rd_data_o = {of_q[0], cycles_q};
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        if (rd_word_i == WordCtr + 9'(c - 1)) rd_data_o = ctr_q[c];
        if (rd_word_i == WordEvt + 9'(c - 1)) begin
          rd_data_o = {
            of_q[c], evt_q[c].idt, evt_q[c].dv_gscv, evt_q[c].pv_pscv, evt_q[c].did_gscid, evt_q[c].pid_pscid,
            evt_q[c].dmask, 11'd0, evt_q[c].id
          };
        end
      end
    end
  end

  `IOMMU_ASSERT(HpmEventIdLegal, hpm_ids_legal())
  function automatic logic hpm_ids_legal();
    logic ok;
    ok = 1'b1;
    for (int unsigned c = 1; c <= NumCtr; c++) ok = ok && evt_q[c].id <= 4'(LastEvent);
    return ok;
  endfunction

endmodule
