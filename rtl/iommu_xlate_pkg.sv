// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Types and small rules shared by the modules of the translation path
// (iommu_xlate and below).

package iommu_xlate_pkg;
  import iommu_pkg::*;

  parameter int unsigned VpnW   = 45;  // virtual page number of the widest mode, Sv57
  parameter int unsigned LevelW = 3;   // page-table level, 0 to 4

  // ---------------------------------------------------------------- fault causes
  // Section "Fault/Event-Queue".
  parameter logic [11:0] CauseExecAccess   = 12'd1;
  parameter logic [11:0] CauseReadAccess   = 12'd5;
  parameter logic [11:0] CauseWriteAccess  = 12'd7;
  parameter logic [11:0] CauseExecPage     = 12'd12;
  parameter logic [11:0] CauseReadPage     = 12'd13;
  parameter logic [11:0] CauseWritePage    = 12'd15;
  parameter logic [11:0] CauseAllDisallow  = 12'd256;
  parameter logic [11:0] CauseDdtAccess    = 12'd257;
  parameter logic [11:0] CauseDdtInvalid   = 12'd258;
  parameter logic [11:0] CauseDdtMisconf   = 12'd259;
  parameter logic [11:0] CauseTypeDisallow = 12'd260;
  parameter logic [11:0] CauseDdtCorrupt   = 12'd268;
  parameter logic [11:0] CausePtCorrupt    = 12'd274;

  // Access fault of the original access type.
  function automatic logic [11:0] access_cause(input logic exec, input logic write);
    return write ? CauseWriteAccess : exec ? CauseExecAccess : CauseReadAccess;
  endfunction

  // Page fault of the original access type.
  function automatic logic [11:0] page_cause(input logic exec, input logic write);
    return write ? CauseWritePage : exec ? CauseExecPage : CauseReadPage;
  endfunction

  // ---------------------------------------------------------------- device context
  // First-stage mode, decoded from iosatp.MODE and tc.PDTV.
  typedef enum logic [1:0] {
    FsBare = 2'd0,
    FsSv39 = 2'd1,
    FsSv48 = 2'd2,
    FsSv57 = 2'd3
  } fs_mode_e;

  // What translation needs of a device context that has passed its checks.
  typedef struct packed {
    logic              en_ats;
    logic              dtf;      // faults are not reported
    logic              pdtv;
    logic              sbe;      // first-stage tables are big-endian
    fs_mode_e          fs_mode;
    logic [PpnW-1:0]   fs_ppn;   // root of the first-stage page table
    logic [PscidW-1:0] pscid;
    logic [QosW-1:0]   rcid;
    logic [QosW-1:0]   mcid;
  } dc_t;

  // A device context while its doublewords arrive (iommu_dc_check).
  typedef struct packed {
    dc_t  dc;
    logic v;        // tc.V
    logic t2gpa;    // tc.T2GPA
    logic sxl;      // tc.SXL
    logic hg_bare;  // iohgatp.MODE is Bare
    logic bad;      // misconfigured
  } dc_part_t;

  // ---------------------------------------------------------------- pages
  // Page size as a thermometer of the VPN parts that are offset inside the
  // page: 0 4 KiB, 1 64 KiB (NAPOT), 3 2 MiB, 7 1 GiB, 15 512 GiB, 31 256 TiB.
  typedef logic [4:0] page_size_t;

  // VPN bits that are offset inside a page of that size.
  function automatic logic [VpnW-1:0] page_mask(input page_size_t size);
    return {9'd0, {9{size[4]}}, {9{size[3]}}, {9{size[2]}}, {5{size[1]}}, {4{size[0]}}};
  endfunction

  // Permissions of a leaf PTE; A is always 1 in what is kept.
  typedef struct packed {
    logic d;
    logic u;
    logic x;
    logic w;
    logic r;
  } pte_perm_t;

  // What is kept of a leaf PTE beside its address.
  typedef struct packed {
    logic [1:0] pbmt;
    logic       g;     // also set by a non-leaf PTE above
    pte_perm_t  perm;
  } pte_attr_t;

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
  typedef enum logic [1:0] {
    PhDdt,   // non-leaf DDT entry
    PhDc,    // device context
    PhPt     // first-stage PTE
  } phase_e;

  // How a request begins its walk, or why it is denied without one.
  typedef struct packed {
    tr_req_t           req;
    logic              dc_valid;  // dc is located
    dc_t               dc;
    logic              deny;      // nothing to read: cause holds
    logic [11:0]       cause;
    phase_e            phase;
    logic [LevelW-1:0] level;     // of the entry at addr
    logic [PaW-1:0]    addr;      // first read
  } walk_start_t;

  // A walk that wants the lookup pipeline: its device context is located, or
  // it has ended.
  typedef struct packed {
    tr_req_t         req;
    dc_t             dc;
    logic            deny;
    logic [11:0]     cause;
    logic            stale;  // an invalidation came after the first read: nothing may be kept
    logic [PpnW-1:0] ppn;    // page's base, when granted
    page_size_t      size;
    pte_attr_t       attr;
  } walk_result_t;
endpackage
