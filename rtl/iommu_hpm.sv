// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// The hardware performance monitor: iocountovf, iocountinh, iohpmcycles,
// iohpmctr and iohpmevt (sections of those names). Events come on several
// ports, one transaction a port and cycle; a counter takes those of its
// eventID that pass its filter, one cycle later (three with TimingCuts). A write by
// software wins over counting in the same cycle; an overflow then comes after it.

`include "iommu_macros.svh"

module iommu_hpm
  import iommu_pkg::*;
#(
    parameter int unsigned NumCtr = 7,  // event counters, 1 to 31
    parameter bit TimingCuts = 1'b0     // registers between comparison, sum and counter; see words_t for reads and writes
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

  // Which parts of a filter an event passes; which of the ids count says IDT.
  typedef struct packed {
    logic kind, pid, pscid, did, gscid;
  } match_t;

  function automatic match_t compare(input hpm_event_t ev, input evt_t evt, input logic [23:0] low);
    logic [23:0] masked;
    logic [8:0]  ev_by_id;
    ev_by_id      = {ev.ev, 1'b0};
    masked        = evt.dmask ? low : '0;
    compare.kind  = (!evt.idt || idt_ok(evt.id)) && evt.id <= 4'(LastEvent) && ev_by_id[evt.id];
    compare.pid   = !evt.pv_pscv || (ev.pv && ev.pid == evt.pid_pscid);
    compare.pscid = !evt.pv_pscv || (ev.pscv && ev.pscid == evt.pid_pscid);
    compare.did   = !evt.dv_gscv || ((ev.did ^ evt.did_gscid) & ~masked) == '0;
    compare.gscid = !evt.dv_gscv || (ev.gscv && ((24'(ev.gscid) ^ evt.did_gscid) & ~masked) == '0);
  endfunction

  function automatic logic counts(input match_t match, input logic idt);
    return match.kind && (idt ? match.pscid && match.gscid : match.pid && match.did);
  endfunction

  logic [NumCtr:1][23:0] low;
  localparam int unsigned IncW = $clog2(HpmPorts + 1);
  logic [NumCtr:1][IncW-1:0] inc_d, inc;
  logic                      any_event_d, any_event, any_inc;
  match_t [NumCtr:1][HpmPorts-1:0] match_d, match;
  logic   [NumCtr:1][HpmPorts-1:0] hits;  // the event passes the counter's filter

  always_comb begin
    any_event_d = 1'b0;
    for (int unsigned p = 0; p < HpmPorts; p++) any_event_d = any_event_d || ev_q[p].ev != '0;
  end

  always_comb begin
    match_d = '0;
    if (any_event_d) begin
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        if (!inh_q[c] && evt_q[c].id != '0) begin
          for (int unsigned p = 0; p < HpmPorts; p++) match_d[c][p] = compare(ev_q[p], evt_q[c], low[c]);
        end
      end
    end
  end

  always_comb begin
    hits  = '0;
    inc_d = '0;
    if (any_event) begin
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        for (int unsigned p = 0; p < HpmPorts; p++) hits[c][p] = counts(match[c][p], evt_q[c].idt);
      end
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        for (int unsigned p = 0; p < HpmPorts; p++) inc_d[c] = inc_d[c] + IncW'(hits[c][p]);
      end
    end
  end

  if (TimingCuts) begin : gen_cut
    logic [NumCtr:1][IncW-1:0] inc_q;
    logic                      seen_q, any_q;
    match_t [NumCtr:1][HpmPorts-1:0] match_q;
    logic [NumCtr:1][23:0]     low_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        match_q <= '0;
        inc_q   <= '0;
        seen_q  <= 1'b0;
        any_q   <= 1'b0;
        low_q   <= '0;
      end else begin
        match_q <= match_d;
        inc_q   <= inc_d;
        seen_q  <= any_event_d;
        any_q   <= seen_q;
        for (int unsigned c = 1; c <= NumCtr; c++) low_q[c] <= low_bits(evt_q[c].did_gscid);
      end
    end
    assign match     = match_q;
    assign any_event = seen_q;
    assign inc       = inc_q;
    assign any_inc   = any_q;
    assign low       = low_q;
  end else begin : gen_no_cut
    assign match     = match_d;
    assign any_event = any_event_d;
    assign inc       = inc_d;
    assign any_inc   = any_event;
    always_comb begin
      low = '0;
      if (any_event) for (int unsigned c = 1; c <= NumCtr; c++) low[c] = low_bits(evt_q[c].did_gscid);
    end
  end

  // ---------------------------------------------------------------- counters
  // The word of that register is written, read. With TimingCuts a word stands for a cycle
  // before its wr_en_i, and what is read is there a cycle after rd_en_i.
  typedef struct packed {
    logic          inh, cycles;
    logic [NumCtr:1] ctr, evt;
  } words_t;
  words_t          wr_at_d, wr_at, rd_at_d, rd_at;
  logic [NumCtr:1] wr_ctr, wr_evt;
  logic            wr_cycles;

  function automatic words_t decode(input logic [8:0] word);
    decode.inh    = word == WordOvfInh;
    decode.cycles = word == WordCycles;
    for (int unsigned c = 1; c <= NumCtr; c++) begin
      decode.ctr[c] = word == WordCtr + 9'(c - 1);
      decode.evt[c] = word == WordEvt + 9'(c - 1);
    end
  endfunction

  assign wr_at_d   = decode(wr_word_i);
  assign rd_at_d   = (rd_en_i && present_i) ? decode(rd_word_i) : '0;
  iommu_cut #(.T(words_t), .Cut(TimingCuts)) u_cut_wr_at (.clk_i, .d_i(wr_at_d), .q_o(wr_at));
  iommu_cut #(.T(words_t), .Cut(TimingCuts)) u_cut_rd_at (.clk_i, .d_i(rd_at_d), .q_o(rd_at));
  assign wr_cycles = wr_at.cycles;
  assign wr_ctr    = wr_at.ctr;
  assign wr_evt    = wr_at.evt;

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
      if (any_inc || TimingCuts) begin
        for (int unsigned c = 1; c <= NumCtr; c++) ctr_q[c] <= ctr_next[c][63:0];
      end
      if (present_i && wr_en_i != '0) begin
        if (wr_at.inh && wr_en_i[1]) inh_q <= wr_data_i[32+NumCtr:32];
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
    if (TimingCuts || rd_at != '0) begin
      rd_data_o[NumCtr:0]     = of_q & {(NumCtr + 1) {rd_at.inh}};
      rd_data_o[32+NumCtr:32] = inh_q & {(NumCtr + 1) {rd_at.inh}};
      rd_data_o              |= {of_q[0], cycles_q} & {64{rd_at.cycles}};
      for (int unsigned c = 1; c <= NumCtr; c++) begin
        rd_data_o |= ctr_q[c] & {64{rd_at.ctr[c]}};
        rd_data_o |= {
            of_q[c], evt_q[c].idt, evt_q[c].dv_gscv, evt_q[c].pv_pscv, evt_q[c].did_gscid, evt_q[c].pid_pscid,
            evt_q[c].dmask, 11'd0, evt_q[c].id
          } & {64{rd_at.evt[c]}};
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
