// Copyright iommu-cosim contributors.
// SPDX-License-Identifier: Apache-2.0
//
// Types shared by the modules of the IOMMU: the pins' packed structs and the
// interfaces between the blocks. Field widths follow the RISC-V IOMMU
// specification; the section is named where a type mirrors one of its formats.

package iommu_pkg;

  // ---------------------------------------------------------------- widths
  parameter int unsigned DeviceIdW  = 24;  // device_id, bits
  parameter int unsigned ProcessIdW = 20;  // process_id, bits
  parameter int unsigned GscidW     = 16;  // guest soft-context id, bits
  parameter int unsigned PscidW     = 20;  // process soft-context id, bits
  parameter int unsigned PaW        = 56;  // supervisor physical address, bits
  parameter int unsigned PpnW       = 44;  // physical page number, bits
  parameter int unsigned QosW       = 12;  // RCID and MCID, bits each
  parameter int unsigned TrTagW     = 7;   // tag of a translation request: {write, bridge slot}
  parameter int unsigned AuxTagW    = 3;   // tag of a request of the core's own clients: ATS, debug
  parameter int unsigned WalkIdW    = 4;   // id of a walker's read on the memory port

  // ---------------------------------------------------------------- pins: user bits
  // m_dev_a[wr]user
  typedef struct packed {
    logic [QosW-1:0] mcid;
    logic [QosW-1:0] rcid;
    logic [1:0]      pbmt;
  } dev_user_t;

  // m_mem_a[wr]user
  typedef struct packed {
    logic [QosW-1:0] mcid;
    logic [QosW-1:0] rcid;
  } mem_user_t;

  // ---------------------------------------------------------------- pins: ATS
  // s_ats_tr_data_i: PCIe ATS translation request
  typedef struct packed {
    logic [9:0]            tag;         // returned with the completion
    logic [DeviceIdW-1:0]  device_id;   // {segment, requester id}
    logic                  pv;          // process_id is valid
    logic [ProcessIdW-1:0] process_id;
    logic                  priv;        // privileged mode requested
    logic                  exec;        // execute requested
    logic                  no_write;    // NW
    logic [63:0]           addr;        // untranslated address, bits 11:0 zero
    logic [7:0]            length;      // translations asked for, minus one
    logic                  cxl;         // request of a CXL type 1 or 2 device
  } ats_tr_t;

  // m_ats_tc_data_o: translation completion, one range a beat
  typedef struct packed {
    logic [9:0]  tag;
    logic [2:0]  status;  // 0 success, 1 unsupported request, 4 completer abort
    logic        last;    // last range of this completion
    logic [51:0] addr;    // translated address, bits 63:12
    logic        s;       // size: the range is more than 4 KiB
    logic        r;
    logic        w;
    logic        x;
    logic        u;       // untranslated access only
    logic        n;       // non-snooped
    logic        glob;    // Global
    logic        priv;
    logic        cxl_io;
    logic [2:0]  ama;
  } ats_tc_t;

  // m_ats_inv_data_o: invalidation request
  typedef struct packed {
    logic [4:0]            itag;
    logic [DeviceIdW-1:0]  device_id;  // {DSEG, RID}
    logic                  dsv;
    logic                  pv;
    logic [ProcessIdW-1:0] process_id;
    logic [63:0]           payload;
  } ats_inv_t;

  // s_ats_ic_data_i: invalidation completion
  typedef struct packed {
    logic [DeviceIdW-1:0] device_id;
    logic [31:0]          itag_vector;
    logic [2:0]           count;
  } ats_ic_t;

  // s_ats_pr_data_i: page request or stop marker
  typedef struct packed {
    logic [DeviceIdW-1:0]  device_id;
    logic                  pv;
    logic [ProcessIdW-1:0] process_id;
    logic                  priv;
    logic                  exec;
    logic [63:0]           payload;  // {address[63:12], PRGI[8:0], L, W, R}
  } ats_pr_t;

  // m_ats_prgr_data_o: page request group response
  typedef struct packed {
    logic [DeviceIdW-1:0]  device_id;  // {DSEG, RID}
    logic                  dsv;
    logic                  pv;
    logic [ProcessIdW-1:0] process_id;
    logic [8:0]            prgi;
    logic [3:0]            response;
  } ats_prgr_t;

  // ---------------------------------------------------------------- capabilities
  // Section "IOMMU capabilities", bit for bit.
  typedef struct packed {
    logic [7:0]  custom;       // 63:56
    logic [11:0] reserved2;    // 55:44
    logic        s;            // 43 address-range invalidation
    logic        nl;           // 42 non-leaf PTE invalidation
    logic        qosid;        // 41
    logic        pd20;         // 40
    logic        pd17;         // 39
    logic        pd8;          // 38
    logic [5:0]  pas;          // 37:32
    logic        dbg;          // 31
    logic        hpm;          // 30
    logic [1:0]  igs;          // 29:28
    logic        endi;         // 27 END
    logic        t2gpa;        // 26
    logic        ats;          // 25
    logic        amo_hwad;     // 24
    logic        msi_mrif;     // 23
    logic        msi_flat;     // 22
    logic        amo_mrif;     // 21
    logic        reserved1;    // 20
    logic        sv57x4;       // 19
    logic        sv48x4;       // 18
    logic        sv39x4;       // 17
    logic        sv32x4;       // 16
    logic        svpbmt;       // 15
    logic        svrsw60t59b;  // 14
    logic [1:0]  reserved0;    // 13:12
    logic        sv57;         // 11
    logic        sv48;         // 10
    logic        sv39;         // 9
    logic        sv32;         // 8
    logic [7:0]  version;      // 7:0
  } caps_t;

  // IOMMU generates interrupts by (capabilities.IGS)
  parameter logic [1:0] IgsMsi  = 2'd0;
  parameter logic [1:0] IgsWsi  = 2'd1;
  parameter logic [1:0] IgsBoth = 2'd2;

  // ddtp.iommu_mode
  typedef enum logic [3:0] {
    DdtpOff   = 4'd0,
    DdtpBare  = 4'd1,
    Ddtp1Lvl  = 4'd2,
    Ddtp2Lvl  = 4'd3,
    Ddtp3Lvl  = 4'd4
  } ddtp_mode_e;

  // What the register file tells the rest of the block; stable but for the
  // ddtp hand-over (iommu_regs).
  typedef struct packed {
    caps_t      caps;      // effective capabilities: parameters AND cfg_caps_i
    logic       be;        // fctl.BE
    logic       wsi;       // fctl.WSI
    logic       gxl;       // fctl.GXL
    logic       be_wr;     // fctl.BE is writable
    logic       gxl_wr;    // fctl.GXL is writable
  } csr_cfg_t;

  // Mode and root of the device directory as the translation path uses them.
  typedef struct packed {
    ddtp_mode_e      mode;
    logic [PpnW-1:0] ppn;
  } ddtp_t;

  // ---------------------------------------------------------------- translation: IO bridge <-> core
  // A request (look-aside): one a burst, before anything of it is forwarded.
  typedef struct packed {
    logic [TrTagW-1:0]     tag;         // returned with the response, unique while outstanding
    logic [DeviceIdW-1:0]  device_id;
    logic                  pv;          // process_id is valid
    logic [ProcessIdW-1:0] process_id;
    logic                  priv;        // supervisor privilege requested (already 0 when pv=0)
    logic                  exec;        // read for execute
    logic                  write;       // write or atomic
    logic                  translated;  // AT=10, address is already translated
    logic [63:0]           iova;        // address of the first byte
  } tr_req_t;

  // Destination of an MSI in MRIF mode.
  typedef struct packed {
    logic [PaW-1:9]  addr;  // interrupt file
    logic [PpnW-1:0] nppn;  // page of the notice
    logic [10:0]     nid;   // its data
  } mrif_t;

  // Its answer; out of order across tags. valid without ready: the bridge keeps
  // a place for each request that it has sent.
  typedef struct packed {
    logic [TrTagW-1:0] tag;
    logic              grant;   // 0: answer the device with an error
    logic              sink;    // MRIF page: the IOMMU itself serves the access, m_dev sees nothing
    mrif_t             mrif;    // of which file; valid when sink
    logic              dtf;     // faults of that are not reported
    logic [PaW-1:0]    spa;     // valid when grant
    dev_user_t         user;    // PBMT, RCID, MCID for m_dev; valid when grant
  } tr_rsp_t;

  // An MSI to be stored in an interrupt file, once its data has come.
  typedef struct packed {
    tr_req_t     req;       // the access, for a fault record
    mrif_t       mrif;
    logic        dtf;
    mem_user_t   user;      // of the device context
    logic [10:0] identity;  // interrupt identity
  } mrif_req_t;

  // ---------------------------------------------------------------- translation: the core's own clients
  // ATS translation requests, ATS messages and the debug interface ask at a
  // second port of the lookup pipeline, with the same handshake.
  typedef enum logic [1:0] {
    AuxAts,      // PCIe ATS translation request
    AuxDebug,    // debug interface: as an untranslated request, but no access follows
    AuxContext   // PCIe message: is there a device context that allows it? Nothing is translated
  } aux_kind_e;

  typedef struct packed {
    logic [AuxTagW-1:0]    tag;         // returned with the answer, unique while outstanding
    aux_kind_e             kind;
    logic [DeviceIdW-1:0]  device_id;
    logic                  pv;          // process_id is valid
    logic [ProcessIdW-1:0] process_id;
    logic                  priv;        // 0 when pv is 0
    logic                  exec;        // execute requested
    logic                  no_write;    // NW
    logic                  need_pri;    // AuxContext: EN_PRI is needed beside EN_ATS, else cause 260
    logic [63:0]           iova;        // address; AuxContext: what iotval shall say
  } aux_req_t;

  // Its answer; valid without ready. A fault has been recorded already, if it is
  // one that the kind of request reports (TTYP 8 for AuxAts, 9 for AuxContext).
  typedef struct packed {
    logic [AuxTagW-1:0] tag;
    logic               fault;     // the process stopped with cause
    logic [11:0]        cause;
    // device context, if one was located
    logic               dc_valid;
    logic               en_pri;
    logic               prpr;
    logic               t2gpa;
    // the rest is valid without fault. AuxAts: r, w, x say what is permitted (x
    // only if r, and only if asked for), all 0 is an answer too
    logic [63:0]        addr;      // SPA; GPA for AuxAts with T2GPA
    logic [5:0]         size_log2; // range round it with one mapping, log2 of bytes, 12 or more
    logic               r;
    logic               w;
    logic               x;
    logic               glob;      // G in the first stage
    logic               msi;       // a virtual interrupt file
    logic               mrif;      // in MRIF mode: untranslated access only
    logic [1:0]         pbmt;
  } aux_rsp_t;

  // Who asks there, told by the tag: ATS translation requests have several under way.
  parameter int unsigned NumAuxCl       = 4;
  parameter int unsigned AuxClTranslate = 0;
  parameter int unsigned AuxClPage      = 1;  // page requests
  parameter int unsigned AuxClComplete  = 2;  // invalidation completions
  parameter int unsigned AuxClDebug     = 3;
  parameter logic [AuxTagW-1:0] AuxTagPage     = 3'd4;
  parameter logic [AuxTagW-1:0] AuxTagComplete = 3'd5;
  parameter logic [AuxTagW-1:0] AuxTagDebug    = 3'd6;

  function automatic logic [1:0] aux_client(input logic [AuxTagW-1:0] tag);
    unique case (tag)
      AuxTagPage:     return 2'(AuxClPage);
      AuxTagComplete: return 2'(AuxClComplete);
      AuxTagDebug:    return 2'(AuxClDebug);
      default:        return 2'(AuxClTranslate);
    endcase
  endfunction

  // Events for the HPM, each high for a cycle, with what the filters compare.
  // One port counts requests as they are answered, the other walks as they begin.
  parameter int unsigned HpmPorts = 2;
  typedef struct packed {
    logic [8:1]            ev;     // by eventID: 1 untranslated, 2 translated, 3 ATS, 4 TLB miss, 5 DDT, 6 PDT, 7 first-stage, 8 second-stage walk
    logic [DeviceIdW-1:0]  did;
    logic                  pv;     // pid is valid
    logic [ProcessIdW-1:0] pid;
    logic                  gscv;   // gscid is valid: the second stage is not Bare
    logic [GscidW-1:0]     gscid;
    logic                  pscv;   // pscid is valid: the first stage is not Bare
    logic [PscidW-1:0]     pscid;
  } hpm_event_t;

  // ---------------------------------------------------------------- faults
  // Fault-queue record without its reserved parts (section "Fault-Queue").
  typedef struct packed {
    logic [11:0]           cause;
    logic [ProcessIdW-1:0] pid;
    logic                  pv;
    logic                  priv;
    logic [5:0]            ttyp;
    logic [DeviceIdW-1:0]  did;
    logic [63:0]           iotval;
    logic [63:0]           iotval2;
  } fault_rec_t;

  // ---------------------------------------------------------------- invalidation: command queue -> caches
  typedef enum logic [1:0] {
    InvVma  = 2'd0,  // IOTINVAL.VMA
    InvGvma = 2'd1,  // IOTINVAL.GVMA
    InvDdt  = 2'd2,  // IODIR.INVAL_DDT
    InvPdt  = 2'd3   // IODIR.INVAL_PDT
  } inv_kind_e;

  typedef struct packed {
    inv_kind_e             kind;
    logic                  av;
    logic                  nl;     // non-leaf extension
    logic                  s;      // address-range extension
    logic                  pscv;
    logic                  gv;
    logic                  dv;
    logic [PscidW-1:0]     pscid;
    logic [GscidW-1:0]     gscid;
    logic [51:0]           addr;   // ADDR[63:12]
    logic [DeviceIdW-1:0]  did;
    logic [ProcessIdW-1:0] pid;
  } inv_req_t;

  // ---------------------------------------------------------------- memory port of a client
  parameter int unsigned MemIdWide = 6;  // id on m_mem, bits

  // Read: one burst of 64-bit beats, inside 4 KiB.
  typedef struct packed {
    logic [MemIdWide-1:0] id;  // on m_mem, returned with each beat
    logic [PaW-1:0]     addr;  // aligned to 8 bytes
    logic [7:0]         len;   // beats minus one
    mem_user_t          user;
  } mem_rreq_t;

  // A beat of read data; valid without ready, the client takes it.
  typedef struct packed {
    logic [MemIdWide-1:0] id;
    logic [63:0]        data;
    logic               last;
    logic               err;     // SLVERR or DECERR on this beat
    logic               poison;  // data corruption on this beat
  } mem_rrsp_t;

  // Write: up to four beats; strb applies to each beat alike. One is under way
  // an id; B comes back with the id.
  typedef struct packed {
    logic [MemIdWide-1:0] id;  // on m_mem
    logic [5:0]        atop;  // AWATOP; read data of an atomic comes with the id
    logic              wrap;  // WRAP burst, else INCR
    logic              device;  // to the end point, not to be cached
    logic [PaW-1:0]    addr;  // address of the first byte
    logic [1:0]        len;   // beats minus one
    logic [2:0]        size;  // log2 of the bytes of a beat: 2 or 3
    logic [7:0]        strb;
    logic [3:0][63:0]  data;  // beat 0 in [0], lanes as on the bus
    mem_user_t         user;
  } mem_wreq_t;

  // ---------------------------------------------------------------- register file <-> queues
  // Where an in-memory queue is and how far software has come with it.
  typedef struct packed {
    logic            en;        // cqen, fqen
    logic            error;     // an error bit that stops the queue is set
    logic            mf;        // one of them: memory fault
    logic [31:0]     index;     // software's index: cqt, fqh
    logic [4:0]      log2sz_1;  // LOG2SZ-1
    logic [PpnW-1:0] ppn;       // root page
  } queue_cfg_t;

  // Byte order: a value as it stands on little-endian lanes, for structures
  // that are big-endian.
  function automatic logic [63:0] endian64(input logic be, input logic [63:0] x);
    return be ? {x[7:0], x[15:8], x[23:16], x[31:24], x[39:32], x[47:40], x[55:48], x[63:56]} : x;
  endfunction
  function automatic logic [31:0] endian32(input logic be, input logic [31:0] x);
    return be ? {x[7:0], x[15:8], x[23:16], x[31:24]} : x;
  endfunction

  // Mask of a queue's index bits.
  function automatic logic [31:0] queue_mask(input logic [4:0] log2sz_1);
    return ~(32'hFFFF_FFFE << log2sz_1);
  endfunction

  // ids of the IOMMU's own accesses on m_mem; walkers use 0 to 2^WalkIdW-1
  parameter int unsigned MemIdCommand = 16;  // command fetch
  parameter int unsigned MemIdFence   = 17;  // IOFENCE.C's write
  parameter int unsigned MemIdFault   = 18;  // fault record
  parameter int unsigned MemIdMsi     = 19;  // the IOMMU's own message
  parameter int unsigned MemIdPage    = 20;  // page-request record
  parameter int unsigned MemIdMrif    = 21;  // interrupt file: read, update
  parameter int unsigned MemIdNotice  = 22;  // notice MSI of an interrupt file

  // Writers of m_mem
  parameter int unsigned NumWr    = 6;
  parameter int unsigned WrFence  = 0;
  parameter int unsigned WrFault  = 1;
  parameter int unsigned WrMsi    = 2;
  parameter int unsigned WrPage   = 3;  // page requests
  parameter int unsigned WrXlate  = 4;  // A/D updates
  parameter int unsigned WrMrif   = 5;  // interrupt files, notices

  // AWATOP
  parameter logic [5:0] AtopNone    = 6'b000000;
  parameter logic [5:0] AtopLoadSet = 6'b100011;  // AtomicLoad, little-endian, SET
  parameter logic [5:0] AtopCompare = 6'b110001;
endpackage
