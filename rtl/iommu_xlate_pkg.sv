// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Types and small rules shared by the modules of the translation path
// (iommu_xlate and below).

package iommu_xlate_pkg;
  import iommu_pkg::*;

  parameter int unsigned VpnW   = 47;  // page number of the widest address, a Sv57x4 guest's
  parameter int unsigned LevelW = 3;   // page-table level, 0 to 4

  // ---------------------------------------------------------------- fault causes
  // Section "Fault/Event-Queue".
  parameter logic [11:0] CauseExecAccess   = 12'd1;
  parameter logic [11:0] CauseReadAccess   = 12'd5;
  parameter logic [11:0] CauseWriteAccess  = 12'd7;
  parameter logic [11:0] CauseExecPage     = 12'd12;
  parameter logic [11:0] CauseReadPage     = 12'd13;
  parameter logic [11:0] CauseWritePage    = 12'd15;
  parameter logic [11:0] CauseExecGuest    = 12'd20;
  parameter logic [11:0] CauseReadGuest    = 12'd21;
  parameter logic [11:0] CauseWriteGuest   = 12'd23;
  parameter logic [11:0] CauseAllDisallow  = 12'd256;
  parameter logic [11:0] CauseDdtAccess    = 12'd257;
  parameter logic [11:0] CauseDdtInvalid   = 12'd258;
  parameter logic [11:0] CauseDdtMisconf   = 12'd259;
  parameter logic [11:0] CauseTypeDisallow = 12'd260;
  parameter logic [11:0] CauseMsiAccess    = 12'd261;
  parameter logic [11:0] CauseMsiInvalid   = 12'd262;
  parameter logic [11:0] CauseMsiMisconf   = 12'd263;
  parameter logic [11:0] CauseMrifAccess   = 12'd264;
  parameter logic [11:0] CausePdtAccess    = 12'd265;
  parameter logic [11:0] CausePdtInvalid   = 12'd266;
  parameter logic [11:0] CausePdtMisconf   = 12'd267;
  parameter logic [11:0] CauseDdtCorrupt   = 12'd268;
  parameter logic [11:0] CausePdtCorrupt   = 12'd269;
  parameter logic [11:0] CauseMsiCorrupt   = 12'd270;
  parameter logic [11:0] CauseMrifCorrupt  = 12'd271;
  parameter logic [11:0] CauseOwnMsi       = 12'd273;
  parameter logic [11:0] CausePtCorrupt    = 12'd274;

  // Access fault of the original access type.
  function automatic logic [11:0] access_cause(input logic exec, input logic write);
    return exec ? CauseExecAccess : write ? CauseWriteAccess : CauseReadAccess;
  endfunction

  // Page fault of the original access type.
  function automatic logic [11:0] page_cause(input logic exec, input logic write);
    return exec ? CauseExecPage : write ? CauseWritePage : CauseReadPage;
  endfunction

  // Guest-page fault of the original access type.
  function automatic logic [11:0] guest_cause(input logic exec, input logic write);
    return exec ? CauseExecGuest : write ? CauseWriteGuest : CauseReadGuest;
  endfunction

  // Causes with which an ATS translation request is answered successfully,
  // without permissions and without a record (section "PCIe ATS translation
  // request handling").
  function automatic logic ats_silent(input logic [11:0] cause);
    return cause inside {CauseExecPage, CauseReadPage, CauseWritePage, CauseExecGuest, CauseReadGuest, CauseWriteGuest,
                         CausePdtInvalid, CauseMsiInvalid};
  endfunction

  // ---------------------------------------------------------------- requests inside
  parameter int unsigned Places = 2 ** TrTagW + 2 ** AuxTagW;  // one for each tag
  parameter int unsigned PlaceW = TrTagW + 1;

  typedef enum logic [1:0] {
    KdDevice,   // a burst of the bridge
    KdAts,
    KdDebug,
    KdContext   // wants the device context's verdict only
  } kind_e;

  typedef struct packed {
    logic [PlaceW-1:0]     place;       // {aux, tag}
    kind_e                 kind;
    logic [DeviceIdW-1:0]  device_id;
    logic                  pv;
    logic [ProcessIdW-1:0] process_id;  // 0 when pv is 0
    logic                  priv;
    logic                  exec;
    logic                  write;       // KdAts: write permission is asked for
    logic                  translated;
    logic                  need_pri;
    logic [63:0]           iova;
  } xreq_t;

  // ---------------------------------------------------------------- contexts
  // Paging mode of either stage; the second has addresses two bits wider.
  typedef enum logic [2:0] {
    PtBare = 3'd0,
    Pt32   = 3'd1,
    Pt39   = 3'd2,
    Pt48   = 3'd3,
    Pt57   = 3'd4
  } pt_mode_e;

  // Highest level of a mode's tables.
  function automatic logic [LevelW-1:0] top_level(input pt_mode_e mode);
    unique case (mode)
      Pt57:    return 3'd4;
      Pt48:    return 3'd3;
      Pt32:    return 3'd1;
      default: return 3'd2;
    endcase
  endfunction

  // Encodings of iosatp.MODE and iohgatp.MODE; they have been checked.
  function automatic pt_mode_e decode_mode(input logic [3:0] mode, input logic xl32);
    unique case (mode)
      4'd8:    return xl32 ? Pt32 : Pt39;
      4'd9:    return Pt48;
      4'd10:   return Pt57;
      default: return PtBare;
    endcase
  endfunction

  // Are iosatp.MODE and iohgatp.MODE valid? 8 to 10 for 64-bit addresses, of
  // which sv64 says what is supported; 8 for 32-bit ones, if sv32.
  function automatic logic mode_ok(input logic [3:0] mode, input logic xl32, input logic sv32, input logic [2:0] sv64);
    unique case (mode)
      4'd0:    return 1'b1;
      4'd8:    return xl32 ? sv32 : sv64[0];
      4'd9:    return !xl32 && sv64[1];
      4'd10:   return !xl32 && sv64[2];
      default: return 1'b0;
    endcase
  endfunction

  // What translation needs of a device context that has passed its checks.
  typedef struct packed {
    logic              en_ats;
    logic              en_pri;
    logic              prpr;
    logic              t2gpa;
    logic              dtf;       // faults are not reported
    logic              pdtv;
    logic              dpe;
    logic              gade;
    logic              sade;
    logic              sbe;       // process directory and first-stage tables are big-endian
    logic              sxl;
    pt_mode_e          gs_mode;   // second stage
    logic [PpnW-1:0]   gs_ppn;
    logic [GscidW-1:0] gscid;     // 0 when the second stage is Bare
    logic [3:0]        fs_mode;   // fsc.MODE as it is: iosatp's, or pdtp's when pdtv
    logic [PpnW-1:0]   fs_ppn;
    logic [PscidW-1:0] pscid;
    logic [QosW-1:0]   rcid;
    logic [QosW-1:0]   mcid;
    logic              msi_on;    // msiptp.MODE is Flat
    logic [PpnW-1:0]   msi_ppn;
    logic [51:0]       msi_mask;
    logic [51:0]       msi_pattern;
  } dc_t;

  // What a doubleword of the device context in memory holds of it, as ones.
  function automatic dc_t dc_fields(input logic [2:0] beat);
    dc_fields = '0;
    unique case (beat)
      3'd0: begin
        {dc_fields.en_ats, dc_fields.en_pri, dc_fields.prpr, dc_fields.t2gpa, dc_fields.dtf, dc_fields.pdtv} = '1;
        {dc_fields.dpe, dc_fields.gade, dc_fields.sade, dc_fields.sbe, dc_fields.sxl} = '1;
      end
      3'd1: begin
        dc_fields.gs_mode = pt_mode_e'('1);
        dc_fields.gs_ppn  = '1;
        dc_fields.gscid   = '1;
      end
      3'd2: begin
        dc_fields.pscid = '1;
        dc_fields.rcid  = '1;
        dc_fields.mcid  = '1;
      end
      3'd3: begin
        dc_fields.fs_mode = '1;
        dc_fields.fs_ppn  = '1;
      end
      3'd4: begin
        dc_fields.msi_on  = '1;
        dc_fields.msi_ppn = '1;
      end
      3'd5:    dc_fields.msi_mask = '1;
      3'd6:    dc_fields.msi_pattern = '1;
      default: dc_fields = '0;
    endcase
  endfunction

  // A device or process context while its doublewords arrive.
  typedef struct packed {
    logic v;        // V bit
    logic bad;      // misconfigured
  } verdict_t;

  // First-stage context: of a process, or of the device.
  typedef struct packed {
    logic              ens;
    logic              sum;
    pt_mode_e          mode;
    logic [PpnW-1:0]   ppn;     // root of the first-stage page table
    logic [PscidW-1:0] pscid;   // 0 when the first stage is Bare
  } pc_t;

  // Is the guest-physical page one of a virtual interrupt file? Bits of `any`
  // may be anything: a range of pages.
  function automatic logic msi_match(input logic on, input logic [51:0] pattern, input logic [51:0] mask,
                                     input logic [51:0] gppn, input logic [51:0] any);
    return on && (((gppn ^ pattern) & ~mask & ~any) == '0);
  endfunction

  // ---------------------------------------------------------------- address spaces
  // Tag of what is kept of page tables. Fields of a Bare stage are 0.
  typedef struct packed {
    pt_mode_e          gs_mode;
    logic [GscidW-1:0] gscid;
    pt_mode_e          fs_mode;
    logic [PscidW-1:0] pscid;
  } space_t;

  // What an invalidation reaches.
  typedef struct packed {
    logic              all;       // everything
    logic              guest;     // spaces with a second stage, else those without
    logic              gscid_en;  // only this guest
    logic [GscidW-1:0] gscid;
    logic              pscid_en;  // only this process, and no global pages
    logic [PscidW-1:0] pscid;
    logic              addr_en;   // only what translates an address of the range
    logic [VpnW-1:0]   vpn;
    logic [VpnW-1:0]   range;     // bits of vpn that may be anything
  } reach_t;

  // Does it reach an entry of that space, which translates the pages `vpn` but
  // for the bits `any`? Only if it reaches both.
  typedef struct packed {
    logic space;
    logic pages;
  } reached_t;
  function automatic reached_t reached_parts(input reach_t r, input space_t space, input logic glob, input logic [VpnW-1:0] vpn,
                                             input logic [VpnW-1:0] any);
    logic in_space, in_range;
    in_space = ((space.gs_mode != PtBare) == r.guest) && (!r.gscid_en || (space.gscid == r.gscid)) &&
               (!r.pscid_en || ((space.fs_mode != PtBare) && (space.pscid == r.pscid) && !glob));
    in_range = !r.addr_en || (((vpn ^ r.vpn) & ~any & ~r.range) == '0);
    return '{space: r.all || in_space, pages: r.all || in_range};
  endfunction
  function automatic logic reaches(input reach_t r, input space_t space, input logic glob, input logic [VpnW-1:0] vpn,
                                   input logic [VpnW-1:0] any);
    return &reached_parts(r, space, glob, vpn, any);
  endfunction

  // ---------------------------------------------------------------- pages
  // Page size as a thermometer of the VPN parts that are offset inside the
  // page: 0 4 KiB, 1 64 KiB (NAPOT), 3 2 MiB, 7 1 GiB, 15 512 GiB, 31 256 TiB.
  // A 4 MiB page of Sv32 is kept as the half that was asked for.
  typedef logic [4:0] page_size_t;

  // VPN bits that are offset inside a page of that size.
  function automatic logic [VpnW-1:0] page_mask(input page_size_t size);
    return {11'd0, {9{size[4]}}, {9{size[3]}}, {9{size[2]}}, {5{size[1]}}, {4{size[0]}}};
  endfunction

  // log2 of its bytes.
  function automatic logic [5:0] size_log2(input page_size_t size);
    return size[4] ? 6'd48 : size[3] ? 6'd39 : size[2] ? 6'd30 : size[1] ? 6'd21 : size[0] ? 6'd16 : 6'd12;
  endfunction

  // VPN bits below the part that indexes the tables of a level: what a pointer
  // to such a table, one level up, leaves open.
  function automatic logic [VpnW-1:0] table_mask(input pt_mode_e mode, input logic [LevelW-1:0] level);
    if (mode == Pt32) return VpnW'(47'h3FF);
    unique case (level)
      3'd0:    return VpnW'(47'h1FF);
      3'd1:    return VpnW'(47'h3_FFFF);
      3'd2:    return VpnW'(47'h7FF_FFFF);
      default: return VpnW'(47'hF_FFFF_FFFF);
    endcase
  endfunction

  // Address of the entry for `addr` in a table at `ppn`. The second stage's
  // root (wide) has four times the entries.
  function automatic logic [PaW-1:0] pte_addr(input pt_mode_e mode, input logic [LevelW-1:0] level, input logic wide,
                                              input logic [PpnW-1:0] ppn, input logic [58:12] addr);
    logic [13:0] offset;
    if (mode == Pt32) begin
      offset = (level == 3'd0) ? {2'd0, addr[21:12], 2'd0} : {addr[33:32] & {2{wide}}, addr[31:22], 2'd0};
    end else begin
      unique case (level)
        3'd0:    offset = {2'd0, addr[20:12], 3'd0};
        3'd1:    offset = {2'd0, addr[29:21], 3'd0};
        3'd2:    offset = {addr[40:39] & {2{wide}}, addr[38:30], 3'd0};
        3'd3:    offset = {addr[49:48] & {2{wide}}, addr[47:39], 3'd0};
        default: offset = {addr[58:57] & {2{wide}}, addr[56:48], 3'd0};
      endcase
    end
    return {ppn, 12'd0} | PaW'(offset);
  endfunction

  // Permissions of a leaf PTE; A is always 1 in what is kept.
  typedef struct packed {
    logic d;
    logic u;
    logic x;
    logic w;
    logic r;
  } pte_perm_t;

  // What is kept of a translation beside its address.
  typedef struct packed {
    logic [1:0] pbmt;  // of both stages together
    logic       g;     // global in the first stage
    logic       msi;   // a virtual interrupt file's page
    pte_perm_t  fs;    // of the first stage, if it is not Bare
    pte_perm_t  gs;    // of the second, or of the MSI page table
  } page_attr_t;

  // May the access use the page? `priv` is supervisor privilege, `sum` the
  // process context's SUM.
  function automatic logic pte_permits(input pte_perm_t perm, input logic exec, input logic write, input logic priv,
                                       input logic sum);
    logic user_ok, type_ok;
    user_ok = priv ? (!perm.u || (sum && !exec)) : perm.u;
    type_ok = write ? (perm.w && perm.d) : exec ? perm.x : perm.r;
    return user_ok && type_ok;
  endfunction

  // ---------------------------------------------------------------- walks
  // What a request lacks, and a walk is looking for.
  typedef enum logic [1:0] {
    SgDdt  = 2'd0,  // device context
    SgPdt  = 2'd1,  // process context
    SgPage = 2'd2   // page
  } stage_e;

  // What a read is for.
  typedef enum logic [2:0] {
    RdDdt,   // non-leaf DDT entry
    RdDc,    // device context
    RdPdt,   // non-leaf PDT entry
    RdPc,    // process context
    RdFs,    // first-stage PTE
    RdGs,    // second-stage PTE
    RdMsi    // MSI PTE
  } read_e;

  // What a guest-physical address is for: where the walk goes on when the
  // second stage has translated it.
  typedef enum logic [2:0] {
    WhyPdt,   // read a non-leaf PDT entry
    WhyPc,    // read a process context
    WhyFs,    // read a first-stage PTE
    WhyFsAd,  // update a first-stage PTE
    WhyData   // the access itself
  } why_e;

  // What the step pipeline does for a slot that asks for it.
  typedef enum logic [1:0] {
    LkStart,  // begin: the stage says what
    LkMsi,    // the interrupt file's number is known
    LkAmo     // an A/D update has been answered
  } look_e;

  // Phases of a step with TimingCuts, a cycle each, as bits of a one-hot register.
  parameter int unsigned PhShape    = 0;   // what kind of entry was read; compare first-stage pointers
  parameter int unsigned PhData     = 1;   // put the read data in order; which pointers match
  parameter int unsigned PhCheck    = 2;   // check the entry or the doubleword, rule by rule; the pointer's number
  parameter int unsigned PhVerdict  = 3;   // the verdict; read the pointer
  parameter int unsigned PhCause    = 4;   // the cause of a fault, the next level and its table
  parameter int unsigned PhSay      = 5;   // what follows
  parameter int unsigned PhThink    = 6;   // the walk after it
  parameter int unsigned PhRoute    = 7;   // an interrupt file's page, or one of the second stage; compare the latter's leaves and pointers
  parameter int unsigned PhMatch    = 8;   // which of them match
  parameter int unsigned PhPick     = 9;   // their numbers
  parameter int unsigned PhRead     = 10;  // read them
  parameter int unsigned PhAddr     = 11;  // the next physical address
  parameter int unsigned PhRange    = 12;  // is it in range
  parameter int unsigned PhEnd      = 13;  // back into the slot
  parameter int unsigned StepPhases = 14;

  // State of a walk's slot.
  typedef enum logic [3:0] {
    WkIdle,
    WkLook,   // asks for the step pipeline
    WkReq,    // read to be issued
    WkWait,   // read outstanding
    WkMsi,    // number of the interrupt file to be extracted
    WkAmo,    // A/D update to be issued
    WkAmoB,   // A/D update outstanding
    WkCtx,    // context located: asks for the lookup pipeline
    WkDone    // ended: asks for the lookup pipeline
  } walk_state_e;

  // A walk, beside its request, its device context (dc_t), and its first-stage context
  // in stage SgPage (pc_t). Everything it needs is there: caches may lose what it has used.
  typedef struct packed {
    stage_e            stage;
    look_e             look;
    logic              dc_valid;
    verdict_t          verdict;  // of the context that is being read
    logic              priv;     // supervisor privilege in the first stage
    // the read
    read_e             rd;
    logic [LevelW-1:0] level;    // of directories and of the first stage
    logic [LevelW-1:0] glevel;   // of the second stage
    logic [PaW-1:0]    addr;     // at last that of the access
    logic [2:0]        beat;     // doublewords of it seen
    logic              err;      // on an earlier beat
    logic              poison;   // on an earlier beat
    // guest-physical address under way
    logic [63:0]       gpa;
    why_e              why;
    // collected
    logic              glob;     // G in a first-stage PTE
    page_size_t        fs_size;
    page_size_t        gs_size;
    logic [1:0]        fs_pbmt;
    logic [1:0]        gs_pbmt;
    pte_perm_t         fs_perm;
    pte_perm_t         gs_perm;
    logic [63:0]       pte;      // to be updated; first half of an MSI PTE
    logic              set_d;    // the update sets D beside A
    logic [63:0]       fs_pte;   // the same of the first stage, while the second stage may
    logic              fs_set_d; // have an update of its own; second half of an MSI PTE
    // result
    logic              deny;
    logic [11:0]       cause;
    logic              guest;    // a guest-page fault: gpa and why are in the record
    logic              msi;
    logic              mrif;
  } walk_t;

  // How a request begins its walk, or why it is denied without one.
  typedef struct packed {
    logic              deny;      // nothing to read: cause holds
    logic [11:0]       cause;
    stage_e            stage;
    // of the device directory, in stage SgDdt
    read_e             rd;
    logic [LevelW-1:0] level;
    logic [PaW-1:0]    addr;
  } walk_start_t;
endpackage
