// C interface of the golden model of the RISC-V IOMMU. docs/golden-c.md tells how to use it.

#ifndef IOMMU_GOLDEN_H
#define IOMMU_GOLDEN_H

// Made from harness/golden-c/src by cbindgen: change that, then run
//   UPDATE_HEADER=1 cargo test -p iommu-golden-c --test header

#include <stddef.h>
#include <stdint.h>

// Version of this interface. It changes when a structure other than `IommuConfig` or the meaning of
// a function does; `iommu_abi_version` has the library's.
#define IOMMU_ABI_VERSION 1

// Bytes of the texts in structures, the final 0 included.
#define IOMMU_TEXT_SIZE 160

// Capability bits (register `capabilities`): Sv32 first stage.
#define IOMMU_CAP_SV32 256

// Sv39 first stage.
#define IOMMU_CAP_SV39 512

// Sv48 first stage; needs Sv39.
#define IOMMU_CAP_SV48 1024

// Sv57 first stage; needs Sv48.
#define IOMMU_CAP_SV57 2048

// PTE bits 60:59 are software's.
#define IOMMU_CAP_SVRSW60T59B 16384

// Page-based memory types.
#define IOMMU_CAP_SVPBMT 32768

// Sv32x4 second stage.
#define IOMMU_CAP_SV32X4 65536

// Sv39x4 second stage.
#define IOMMU_CAP_SV39X4 131072

// Sv48x4 second stage.
#define IOMMU_CAP_SV48X4 262144

// Sv57x4 second stage.
#define IOMMU_CAP_SV57X4 524288

// Atomic updates of memory-resident interrupt files.
#define IOMMU_CAP_AMO_MRIF 2097152

// MSI page tables, and the 64-byte device context.
#define IOMMU_CAP_MSI_FLAT 4194304

// MSI page-table entries in MRIF mode.
#define IOMMU_CAP_MSI_MRIF 8388608

// Atomic updates of A and D in page-table entries.
#define IOMMU_CAP_AMO_HWAD 16777216

// PCIe ATS and page requests.
#define IOMMU_CAP_ATS 33554432

// Guest physical addresses in ATS completions.
#define IOMMU_CAP_T2GPA 67108864

// Both byte orders.
#define IOMMU_CAP_END 134217728

// Performance monitor.
#define IOMMU_CAP_HPM 1073741824

// Translation-request (debug) registers.
#define IOMMU_CAP_DBG 2147483648

// Process directory of one level.
#define IOMMU_CAP_PD8 274877906944

// Process directory of two levels.
#define IOMMU_CAP_PD17 549755813888

// Process directory of three levels.
#define IOMMU_CAP_PD20 1099511627776

// QoS ids.
#define IOMMU_CAP_QOSID 2199023255552

// Non-leaf invalidation.
#define IOMMU_CAP_NL 4398046511104

// Address range invalidation.
#define IOMMU_CAP_S 8796093022208

// Field `version`, bits 7:0, of specification version 1.0.
#define IOMMU_CAP_VERSION_1_0 16

// Field `IGS`, bits 29:28: 0 messages, 1 wires, 2 both, 3 reserved (refused).
#define IOMMU_CAP_IGS_SHIFT 28

// Field `PAS`, bits 37:32: width of a physical address in bits.
#define IOMMU_CAP_PAS_SHIFT 32

// Register offsets in bytes: `capabilities`, 8 bytes.
#define IOMMU_REG_CAPABILITIES 0

// `fctl`, 4 bytes.
#define IOMMU_REG_FCTL 8

// `ddtp`, 8 bytes.
#define IOMMU_REG_DDTP 16

// `cqb`, 8 bytes.
#define IOMMU_REG_CQB 24

// `cqh`, 4 bytes.
#define IOMMU_REG_CQH 32

// `cqt`, 4 bytes.
#define IOMMU_REG_CQT 36

// `fqb`, 8 bytes.
#define IOMMU_REG_FQB 40

// `fqh`, 4 bytes.
#define IOMMU_REG_FQH 48

// `fqt`, 4 bytes.
#define IOMMU_REG_FQT 52

// `pqb`, 8 bytes.
#define IOMMU_REG_PQB 56

// `pqh`, 4 bytes.
#define IOMMU_REG_PQH 64

// `pqt`, 4 bytes.
#define IOMMU_REG_PQT 68

// `cqcsr`, 4 bytes.
#define IOMMU_REG_CQCSR 72

// `fqcsr`, 4 bytes.
#define IOMMU_REG_FQCSR 76

// `pqcsr`, 4 bytes.
#define IOMMU_REG_PQCSR 80

// `ipsr`, 4 bytes.
#define IOMMU_REG_IPSR 84

// `iocountovf`, 4 bytes.
#define IOMMU_REG_IOCOUNTOVF 88

// `iocountinh`, 4 bytes.
#define IOMMU_REG_IOCOUNTINH 92

// `iohpmcycles`, 8 bytes.
#define IOMMU_REG_IOHPMCYCLES 96

// `iohpmctr1`, 8 bytes; the others follow.
#define IOMMU_REG_IOHPMCTR1 104

// `iohpmevt1`, 8 bytes; the others follow.
#define IOMMU_REG_IOHPMEVT1 352

// `tr_req_iova`, 8 bytes.
#define IOMMU_REG_TR_REQ_IOVA 600

// `tr_req_ctl`, 8 bytes.
#define IOMMU_REG_TR_REQ_CTL 608

// `tr_response`, 8 bytes.
#define IOMMU_REG_TR_RESPONSE 616

// `iommu_qosid`, 4 bytes.
#define IOMMU_REG_IOMMU_QOSID 624

// `icvec`, 8 bytes.
#define IOMMU_REG_ICVEC 760

// `msi_addr_0`, 8 bytes, then `msi_data_0` and `msi_vec_ctl_0`, 4 each; 16 bytes further the next.
#define IOMMU_REG_MSI_CFG_TBL 768

// `permissions`: read.
#define IOMMU_PERMISSION_READ 1

// `permissions`: write.
#define IOMMU_PERMISSION_WRITE 2

// `permissions`: execute.
#define IOMMU_PERMISSION_EXECUTE 4

// Value of `IommuResponse.cxl_io` where the specification leaves it open.
#define IOMMU_CXL_IO_OPEN 2

// What a function returns.
enum IommuStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done; results are written.
  IOMMU_STATUS_OK = 0,
  // A pointer is null that must not be.
  IOMMU_STATUS_NULL = 1,
  // A pointer is not aligned for its type.
  IOMMU_STATUS_ALIGNMENT = 2,
  // A structure's `size` is none that this library knows.
  IOMMU_STATUS_SIZE = 3,
  // A number is outside its range, or a flag is neither 0 nor 1.
  IOMMU_STATUS_RANGE = 4,
  // An enumeration has no such value.
  IOMMU_STATUS_VALUE = 5,
  // No IOMMU can have this configuration.
  IOMMU_STATUS_CONFIG = 6,
  // Register access not aligned to its size: UNSPECIFIED by the specification.
  IOMMU_STATUS_REG_MISALIGNED = 7,
  // 8-byte register access that spans two registers: UNSPECIFIED by the specification.
  IOMMU_STATUS_REG_SPANS = 8,
  // Register offset outside the 4-KiB page.
  IOMMU_STATUS_REG_OUTSIDE = 9,
  // The memory has callbacks, and the function is for the library's own memory.
  IOMMU_STATUS_NOT_SPARSE = 10,
  // The call does not fit the state: no message of that vector is owed, and the like.
  IOMMU_STATUS_STATE = 11,
  // The object is in use: a call from its own callback, or from another thread.
  IOMMU_STATUS_BUSY = 12,
  // A mistake of this library; the object can only be destroyed.
  IOMMU_STATUS_PANIC = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuStatus IommuStatus;
#else
typedef uint32_t IommuStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the IOMMU accesses.
enum IommuWhat
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Non-leaf entry of the device directory. Valid: `level`, `device_id`.
  IOMMU_WHAT_DDT_NON_LEAF = 0,
  // Device context. Valid: `device_id`.
  IOMMU_WHAT_DEVICE_CONTEXT = 1,
  // Non-leaf entry of the process directory. Valid: `level`, `device_id`, `process_id`.
  IOMMU_WHAT_PDT_NON_LEAF = 2,
  // Process context. Valid: `device_id`, `process_id`.
  IOMMU_WHAT_PROCESS_CONTEXT = 3,
  // First-stage page-table entry. Valid: `level`, `range_log2`, `addr` (IOVA), `pscid`, `gscid` with
  // `has_gscid`, `global`.
  IOMMU_WHAT_FIRST_STAGE = 4,
  // Second-stage page-table entry. Valid: `level`, `range_log2`, `addr` (GPA), `gscid`; `device_id` and
  // `process_id` with `has_ids`, where the walk serves the process directory.
  IOMMU_WHAT_SECOND_STAGE = 5,
  // MSI page-table entry. Valid: `addr` (GPA), `gscid` with `has_gscid`.
  IOMMU_WHAT_MSI_PTE = 6,
  // Memory-resident interrupt file.
  IOMMU_WHAT_MRIF = 7,
  // Notice MSI after an update of an interrupt file.
  IOMMU_WHAT_NOTICE = 8,
  // Command.
  IOMMU_WHAT_COMMAND_QUEUE = 9,
  // Store of `IOFENCE.C`.
  IOMMU_WHAT_FENCE = 10,
  // Fault record.
  IOMMU_WHAT_FAULT_QUEUE = 11,
  // Page-request record.
  IOMMU_WHAT_PAGE_REQUEST_QUEUE = 12,
  // Interrupt message of the IOMMU itself.
  IOMMU_WHAT_MSI = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuWhat IommuWhat;
#else
typedef uint32_t IommuWhat;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A queue.
enum IommuQueue
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // None of them.
  IOMMU_QUEUE_NONE = 0,
  // Command queue.
  IOMMU_QUEUE_COMMAND = 1,
  // Fault queue.
  IOMMU_QUEUE_FAULT = 2,
  // Page-request queue.
  IOMMU_QUEUE_PAGE_REQUEST = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuQueue IommuQueue;
#else
typedef uint32_t IommuQueue;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What becomes of a request: which part of `IommuResponse` is valid besides `walks`.
enum IommuOutcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The access goes on, to `spa`. Valid: `spa`, `permissions`, `pbmt`, `range_log2`, `rcid`, `mcid`,
  // `gscid`, `pscid`, `global`, `msi`.
  IOMMU_OUTCOME_GRANTED = 0,
  // The page is in MRIF mode: give request and response to `iommu_mrif_access`. Valid: `mrif`,
  // `notice`, `notice_id`, `rcid`, `mcid`, `gscid`, `dtf`.
  IOMMU_OUTCOME_MRIF = 1,
  // The IO bridge aborts the access. Valid: `cause`, `rule`, `record_due`, `record`.
  IOMMU_OUTCOME_DENIED = 2,
  // An ATS translation request is answered. Valid: `ats_status`, `spa` (address of the completion, page
  // aligned, a GPA with T2GPA, only with a permission and `untranslated_only` 0), `permissions`,
  // `range_log2`, `untranslated_only`, `no_snoop`, `global`, `privileged`, `cxl_io`, `ama`; `cause` and
  // `rule` (of a fault, else 0 and empty), `record_due`, `record`.
  IOMMU_OUTCOME_ATS = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuOutcome IommuOutcome;
#else
typedef uint32_t IommuOutcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Status of an ATS translation completion.
enum IommuAtsStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Success, perhaps without any permission.
  IOMMU_ATS_STATUS_SUCCESS = 0,
  // Unsupported Request.
  IOMMU_ATS_STATUS_UNSUPPORTED_REQUEST = 1,
  // Completer Abort.
  IOMMU_ATS_STATUS_COMPLETER_ABORT = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuAtsStatus IommuAtsStatus;
#else
typedef uint32_t IommuAtsStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What became of an access to a page in MRIF mode.
enum IommuMrifOutcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The access is aborted as unsupported; no record.
  IOMMU_MRIF_OUTCOME_ABORTED = 0,
  // A read: zero is returned.
  IOMMU_MRIF_OUTCOME_READ_ZERO = 1,
  // The write is accepted and dropped.
  IOMMU_MRIF_OUTCOME_DISCARDED = 2,
  // The interrupt-pending bit was set and the notice MSI stored.
  IOMMU_MRIF_OUTCOME_STORED = 3,
  // The update of the interrupt file failed: 264 or 271; no notice was sent.
  IOMMU_MRIF_OUTCOME_FAILED = 4,
  // The bit was set, the notice MSI failed: 273.
  IOMMU_MRIF_OUTCOME_NOTICE_FAILED = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuMrifOutcome IommuMrifOutcome;
#else
typedef uint32_t IommuMrifOutcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What becomes of a record.
enum IommuPushKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The queue is off: nothing is written, no bit set.
  IOMMU_PUSH_KIND_OFF = 0,
  // An error bit stops the queue: the record is dropped.
  IOMMU_PUSH_KIND_STOPPED = 1,
  // The queue is full: the overflow bit is now set, the record dropped.
  IOMMU_PUSH_KIND_OVERFLOW = 2,
  // The record has been stored, and the tail moved on.
  IOMMU_PUSH_KIND_WRITTEN = 3,
  // The store failed: the memory-fault bit is now set, the record dropped.
  IOMMU_PUSH_KIND_WRITE_FAILED = 4,
  // The record is to be stored by the caller.
  IOMMU_PUSH_KIND_STORE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuPushKind IommuPushKind;
#else
typedef uint32_t IommuPushKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What became of a command.
enum IommuCommandStep
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It is done, and `cqh` has moved on. Every other value stops the queue with `cqh` on the command.
  IOMMU_COMMAND_STEP_DONE = 0,
  // Its fetch failed: `cqmf`. Only `index` and `addr` are valid.
  IOMMU_COMMAND_STEP_FETCH_FAULT = 1,
  // It is illegal or unsupported: `cmd_ill`. Only `index`, `addr` and `reason` are valid.
  IOMMU_COMMAND_STEP_ILLEGAL = 2,
  // A fence's store failed: `cqmf`.
  IOMMU_COMMAND_STEP_FENCE_FAULT = 3,
  // A fence waits for ATS invalidations in flight.
  IOMMU_COMMAND_STEP_WAITING = 4,
  // An ATS invalidation before this fence timed out: `cmd_to`.
  IOMMU_COMMAND_STEP_TIMED_OUT = 5,
  // `ATS.INVAL` waits for a free ITag. Only `index` and `addr` are valid.
  IOMMU_COMMAND_STEP_NO_ITAG = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuCommandStep IommuCommandStep;
#else
typedef uint32_t IommuCommandStep;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A command.
enum IommuCommandKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Not known: it could not be fetched or decoded.
  IOMMU_COMMAND_KIND_NONE = 0,
  // `IOTINVAL.VMA`. Valid: `gv`, `av`, `pscv`, `nl`, `s`, `gscid`, `pscid`, `operand_addr`.
  IOMMU_COMMAND_KIND_IOTINVAL_VMA = 1,
  // `IOTINVAL.GVMA`. Valid: as `IOTINVAL.VMA`.
  IOMMU_COMMAND_KIND_IOTINVAL_GVMA = 2,
  // `IOFENCE.C`. Valid: `av`, `wsi`, `pr`, `pw`, `fence_data`, `operand_addr`.
  IOMMU_COMMAND_KIND_IOFENCE_C = 3,
  // `IODIR.INVAL_DDT`. Valid: `dv`, `device_id`.
  IOMMU_COMMAND_KIND_IODIR_INVAL_DDT = 4,
  // `IODIR.INVAL_PDT`. Valid: `dv` (1), `device_id`, `process_id`.
  IOMMU_COMMAND_KIND_IODIR_INVAL_PDT = 5,
  // `ATS.INVAL`. Valid: `pv`, `process_id`, `dsv`, `segment`, `rid`, `payload`.
  IOMMU_COMMAND_KIND_ATS_INVAL = 6,
  // `ATS.PRGR`. Valid: as `ATS.INVAL`.
  IOMMU_COMMAND_KIND_ATS_PRGR = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuCommandKind IommuCommandKind;
#else
typedef uint32_t IommuCommandKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What became of a page request.
enum IommuPageRequestKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Its record is in the page-request queue, and `pqt` moved on.
  IOMMU_PAGE_REQUEST_KIND_QUEUED = 0,
  // Storing its record failed: `pqmf`.
  IOMMU_PAGE_REQUEST_KIND_WRITE_FAILED = 1,
  // It was discarded.
  IOMMU_PAGE_REQUEST_KIND_DISCARDED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuPageRequestKind IommuPageRequestKind;
#else
typedef uint32_t IommuPageRequestKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A message to a device.
enum IommuAtsMessageKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // "Invalidation Request".
  IOMMU_ATS_MESSAGE_KIND_INVALIDATION = 0,
  // "Page Request Group Response".
  IOMMU_ATS_MESSAGE_KIND_PAGE_RESPONSE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuAtsMessageKind IommuAtsMessageKind;
#else
typedef uint32_t IommuAtsMessageKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an implementation does where the text says "reserved" or "must not" and not what follows.
enum IommuReserved
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Stop and report with the cause or error bit that the rule names.
  IOMMU_RESERVED_REJECTED = 0,
  // Go on as if it were legal.
  IOMMU_RESERVED_ACCEPTED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuReserved IommuReserved;
#else
typedef uint32_t IommuReserved;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// When an address in a device or process context that is wider than PAS is noticed.
enum IommuWideAddress
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // When it is accessed: an access fault of that access.
  IOMMU_WIDE_ADDRESS_WHEN_ACCESSED = 0,
  // When the context is located: cause 259 or 267.
  IOMMU_WIDE_ADDRESS_MISCONFIGURED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuWideAddress IommuWideAddress;
#else
typedef uint32_t IommuWideAddress;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// ATS translation request with "no write" clear, page writable but D=0, no hardware update.
enum IommuAtsCleanPage
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A page fault: Success with R=W=0.
  IOMMU_ATS_CLEAN_PAGE_PAGE_FAULT = 0,
  // The write permission alone is denied.
  IOMMU_ATS_CLEAN_PAGE_DENY_WRITE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuAtsCleanPage IommuAtsCleanPage;
#else
typedef uint32_t IommuAtsCleanPage;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How an aligned 4-byte read of a page in MRIF mode is answered.
enum IommuMrifRead
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // With zero.
  IOMMU_MRIF_READ_ZERO = 0,
  // The access is aborted.
  IOMMU_MRIF_READ_ABORT = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuMrifRead IommuMrifRead;
#else
typedef uint32_t IommuMrifRead;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an access met. Callbacks return it as `uint32_t`; any other number counts as access fault.
enum IommuMemResult
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  IOMMU_MEM_RESULT_OK = 0,
  // Refused by PMA or PMP, or answered with a bus error.
  IOMMU_MEM_RESULT_ACCESS_FAULT = 1,
  // The data is marked corrupt (poison). Not for stores.
  IOMMU_MEM_RESULT_CORRUPT = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuMemResult IommuMemResult;
#else
typedef uint32_t IommuMemResult;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a device names the address.
enum IommuRequestKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // An ordinary access.
  IOMMU_REQUEST_KIND_UNTRANSLATED = 0,
  // The address is said to be translated already (PCIe AT=10).
  IOMMU_REQUEST_KIND_TRANSLATED = 1,
  // A PCIe ATS translation request: a question, no access.
  IOMMU_REQUEST_KIND_ATS_TRANSLATION = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuRequestKind IommuRequestKind;
#else
typedef uint32_t IommuRequestKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an access does.
enum IommuAccess
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Read. For an ATS translation request: "no write" set.
  IOMMU_ACCESS_READ = 0,
  // Write or AMO. For an ATS translation request: "no write" clear.
  IOMMU_ACCESS_WRITE = 1,
  // Read for execute. For an ATS translation request: "no write" and "Execute Requested" set.
  IOMMU_ACCESS_EXECUTE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum IommuAccess IommuAccess;
#else
typedef uint32_t IommuAccess;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// An IOMMU: registers, queue state machines, interrupts. Made by `iommu_create`.
typedef struct IommuGolden IommuGolden;

// A memory: the library's own sparse one, or the caller's by callbacks. Several IOMMUs may share
// one.
typedef struct IommuMemory IommuMemory;

// Capabilities, sizes and implementation-defined choices. Fill it with `iommu_config_init`, then
// change what is to differ. Later versions may add fields at the end: `size` tells which are there.
// All flags are 0 or 1, else `IOMMU_STATUS_RANGE`; all widths out of range are
// `IOMMU_STATUS_CONFIG`.
typedef struct IommuConfig {
  // Bytes of this structure in the caller's header: `sizeof(IommuConfig)`. Set by
  // `iommu_config_init`.
  uint64_t size;
  // Register `capabilities`, 64 bits: `IOMMU_CAP_*`, version, IGS and PAS. Initially version 1.0
  // and nothing else, PAS 0.
  uint64_t capabilities;
  // Flag: `ddtp.iommu_mode` is Bare after reset, else Off. Initially 0.
  uint8_t reset_bare;
  // `ddtp.iommu_mode` values that the register takes besides Off and Bare: bit 0 1LVL, bit 1
  // 2LVL, bit 2 3LVL; other bits 0. Initially 7.
  uint8_t levels;
  // Flag: a device access whose translated address is at or above 2^PAS is an access fault of the
  // IOMMU; else it is passed on. Initially 1.
  uint8_t check_spa;
  // Interrupt vectors: 1, 2, 4, 8 or 16. Initially 16.
  uint8_t vectors;
  // Width of `msi_addr_x` as an address, 3 to 56 bits. Initially 56.
  uint8_t msi_addr_bits;
  // Writable bits of LOG2SZ-1 in `cqb`, `fqb`, `pqb`, 0 to 5. Initially 5.
  uint8_t log2sz_bits;
  // Width of PPN in `ddtp`, `cqb`, `fqb`, `pqb`, 0 to 44 bits. Initially 44.
  uint8_t ppn_bits;
  // Flag: `fctl.GXL` can be written. Initially 0.
  uint8_t gxl_writable;
  // Flag: value of `fctl.GXL` after reset, for ever if not writable. Initially 0.
  uint8_t gxl;
  // Flag: value of `fctl.BE` after reset, for ever without `IOMMU_CAP_END`. Initially 0.
  uint8_t big_endian;
  // Flag: value of `fctl.WSI` after reset where IGS is 2. Initially 0.
  uint8_t wsi_at_reset;
  // Width of RCID, 0 to 12 bits. Initially 12.
  uint8_t rcid_bits;
  // Width of MCID, 0 to 12 bits. Initially 12.
  uint8_t mcid_bits;
  // Flag: corruption is told from access errors; else it is reported as access fault. Initially 1.
  uint8_t reports_corruption;
  // Flag: `iotval` keeps the page offset of the IOVA. Initially 1.
  uint8_t iotval_offset;
  // Flag: `iotval2` keeps the page offset of the GPA. Initially 1.
  uint8_t iotval2_offset;
  // log2 of the bytes that a translation with both stages Bare is said to cover, 12 to 63.
  // Initially 30.
  uint8_t bare_range_log2;
  // Flag: an ATS translation request with "no write" clear faults as a write (7, 15, 23), else as a
  // read. Initially 1.
  uint8_t ats_fault_is_write;
  // Flag: big-endian MSIs are stored to an MRIF (`seteipnum_be` exists). Initially 1.
  uint8_t mrif_big_endian;
  // Event counters, 1 to 31. Initially 7.
  uint8_t hpm_counters;
  // Width of the event counters, 32 to 64 bits. Initially 64.
  uint8_t hpm_counter_bits;
  // Width of `iohpmcycles.counter`, 32 to 63 bits. Initially 63.
  uint8_t hpm_cycle_bits;
  // 0.
  uint8_t padding[2];
  // `IommuReserved`: `iohgatp.MODE` Bare with `msiptp.MODE` not Off. Initially rejected (259).
  uint32_t bare_iohgatp_with_msi;
  // `IommuReserved`: operands of `IODIR` commands wider than supported. Initially rejected.
  uint32_t wide_operand;
  // `IommuReserved`: `IODIR.INVAL_PDT` where no process directory is supported. Initially
  // accepted.
  uint32_t inval_pdt_without_pdt;
  // `IommuWideAddress`. Initially when accessed.
  uint32_t wide_address;
  // `IommuAtsCleanPage`. Initially the write permission alone is denied.
  uint32_t ats_clean_page;
  // `IommuMrifRead`. Initially zero.
  uint32_t mrif_read;
} IommuConfig;

// What an access is about. Fields that `what` does not name are 0.
typedef struct IommuLabel {
  // What is accessed.
  IommuWhat what;
  // Level of the walk that the entry belongs to, 0 the last.
  uint32_t level;
  // 24 bits.
  uint32_t device_id;
  // 20 bits.
  uint32_t process_id;
  // 20 bits.
  uint32_t pscid;
  // 16 bits.
  uint16_t gscid;
  // log2 of the bytes that an entry of this level covers.
  uint8_t range_log2;
  // Flag: `gscid` is valid.
  uint8_t has_gscid;
  // Flag: `device_id` and `process_id` are valid.
  uint8_t has_ids;
  // Flag: an entry above had G set.
  uint8_t global;
  // 0.
  uint8_t padding[6];
  // The address being translated.
  uint64_t addr;
} IommuLabel;

// Reads `size` bytes (4 or 8) at `addr`, a multiple of it, into `*value`: the bytes in little-endian
// order, the upper half 0 for 4. Returns an `IommuMemResult`; `*value` counts only with `OK`.
typedef uint32_t (*IommuLoad)(void *user,
                              uint64_t addr,
                              uint32_t size,
                              const struct IommuLabel *label,
                              uint64_t *value);

// Writes `size` bytes (4, 16 or 32) at `addr`, a multiple of 4. Returns an `IommuMemResult`.
typedef uint32_t (*IommuStore)(void *user,
                               uint64_t addr,
                               uint32_t size,
                               const uint8_t *bytes,
                               const struct IommuLabel *label);

// Atomically: puts what the `size` bytes (4 or 8) at `addr` hold into `*old`, and replaces them by
// `replacement` if that equals `expected`. Values as in `IommuLoad`. Returns an `IommuMemResult`.
typedef uint32_t (*IommuCompareAndSwap)(void *user,
                                        uint64_t addr,
                                        uint32_t size,
                                        uint64_t expected,
                                        uint64_t replacement,
                                        const struct IommuLabel *label,
                                        uint64_t *old);

// ORs `set` into the 8 bytes at `addr`, atomically if the flag `atomic` is 1, and puts what they held
// into `*old`. Values as in `IommuLoad`. Returns an `IommuMemResult`.
typedef uint32_t (*IommuFetchOr)(void *user,
                                 uint64_t addr,
                                 uint64_t set,
                                 uint8_t atomic,
                                 const struct IommuLabel *label,
                                 uint64_t *old);

// The caller's memory. Addresses at or above 2^PAS never reach it. The pointers that a callback gets
// are valid until it returns. It must return: no `longjmp`, no C++ exception. It must not use the
// objects of the call that it serves (`IOMMU_STATUS_BUSY`).
typedef struct IommuMemoryCallbacks {
  // Given to every callback; the library never follows it.
  void *user;
  // Must not be null.
  IommuLoad load;
  // Must not be null.
  IommuStore store;
  // Null: made of `load` and `store`.
  IommuCompareAndSwap compare_and_swap;
  // Null: made of `load` and `store`.
  IommuFetchOr fetch_or;
} IommuMemoryCallbacks;

// What a register write set in motion. The library does nothing further by itself: process commands,
// run the debug request and send messages when your testbench wants them.
typedef struct IommuRegEffects {
  // The queue that went on.
  IommuQueue enabled;
  // The queue that went off.
  IommuQueue disabled;
  // Flag: `ddtp` was written.
  uint8_t ddtp;
  // Flag: `tr_req_ctl.Go/Busy` went to 1; call `iommu_run_debug_request`.
  uint8_t debug_request;
  // Flag: the specification leaves the outcome of this write open; the plain meaning was taken.
  uint8_t unspecified;
  // 0.
  uint8_t padding[5];
  // Why it is open, ending in 0; empty if `unspecified` is 0.
  char unspecified_text[IOMMU_TEXT_SIZE];
} IommuRegEffects;

// A request. Fill it with `iommu_request_init`, then change what is to differ.
typedef struct IommuRequest {
  // `IommuRequestKind`, else `VALUE`.
  uint32_t kind;
  // `IommuAccess`, else `VALUE`.
  uint32_t access;
  // 24 bits, else `RANGE`.
  uint32_t device_id;
  // 20 bits, else `RANGE`; 0 if `has_process_id` is 0.
  uint32_t process_id;
  // IOVA of the first byte (of a Translated request: the translated address), 64 bits.
  uint64_t iova;
  // Bytes accessed. Only pages in MRIF mode look at it, see `iommu_mrif_access`. Initially 8.
  uint32_t len;
  // Flag: the request has a process id.
  uint8_t has_process_id;
  // Flag: supervisor privilege is asked for; counts only with a process id.
  uint8_t privileged;
  // Flag: "Execute Requested" of an ATS translation request, alone or with "no write" clear.
  uint8_t execute_requested;
  // Flag: an ATS translation request is of a CXL type 1 or 2 device.
  uint8_t cxl;
  // Flag: the performance monitor counts this request, its walks and one TLB miss (with
  // `IOMMU_CAP_HPM`). If 0, the call changes no register.
  uint8_t count;
  // 0.
  uint8_t padding[7];
} IommuRequest;

// Walks that a request took, with nothing cached.
typedef struct IommuWalks {
  // Device directory walks.
  uint32_t device_directory;
  // Process directory walks.
  uint32_t process_directory;
  // First-stage walks.
  uint32_t first_stage;
  // Second-stage walks, those for implicit accesses included.
  uint32_t second_stage;
} IommuWalks;

// What becomes of a request. Fields that `outcome` does not name are 0.
typedef struct IommuResponse {
  // What becomes of it.
  IommuOutcome outcome;
  // PCIe: 0 Success, 1 Unsupported Request, 4 Completer Abort.
  IommuAtsStatus ats_status;
  // Physical address of the first byte, up to 56 bits.
  uint64_t spa;
  // Address of the memory-resident interrupt file, 512-byte aligned.
  uint64_t mrif;
  // Address of the notice MSI.
  uint64_t notice;
  // The fault record as it is stored with `fctl.BE` 0; valid with `record_due`.
  uint64_t record[4];
  // CAUSE, 12 bits; 0 if no fault was met.
  uint32_t cause;
  // `IOMMU_PERMISSION_*`: what the tables grant over the range.
  uint32_t permissions;
  // PSCID in effect, 20 bits; valid with `has_pscid`.
  uint32_t pscid;
  // GSCID in effect, 16 bits; valid with `has_gscid`.
  uint16_t gscid;
  // Resource control id, 12 bits.
  uint16_t rcid;
  // Monitoring counter id, 12 bits.
  uint16_t mcid;
  // Data of the notice MSI, 11 bits.
  uint16_t notice_id;
  // log2 of the bytes of the naturally aligned range over which the same translation holds:
  // 12 is a 4-KiB page.
  uint8_t range_log2;
  // Memory type: 0 PMA, 1 NC, 2 IO.
  uint8_t pbmt;
  // Flag: `record` is to be reported (`iommu_report_fault`). 0 with a cause: not recorded, as `DTF` or
  // the kind of the answer says.
  uint8_t record_due;
  // Flag: `gscid` is valid, a second stage is in effect.
  uint8_t has_gscid;
  // Flag: `pscid` is valid, a first stage is in effect.
  uint8_t has_pscid;
  // Flag: G of the first stage, over all levels; ATS: field Global.
  uint8_t global;
  // Flag: an MSI page-table entry in basic mode gave the address.
  uint8_t msi;
  // Flag: `DC.tc.DTF`.
  uint8_t dtf;
  // Flag, ATS: field U, untranslated access only.
  uint8_t untranslated_only;
  // Flag, ATS: field N.
  uint8_t no_snoop;
  // Flag, ATS: field Priv.
  uint8_t privileged;
  // ATS: field CXL.io: 0, 1, or 2 where the specification leaves it open.
  uint8_t cxl_io;
  // ATS: field AMA, 3 bits.
  uint8_t ama;
  // 0.
  uint8_t padding[7];
  // The walks that it took.
  struct IommuWalks walks;
  // The sentence of the specification that refused it, ending in 0.
  char rule[IOMMU_TEXT_SIZE];
} IommuResponse;

// What became of an access to a page in MRIF mode.
typedef struct IommuMrifResult {
  // What became of it.
  IommuMrifOutcome outcome;
  // 0.
  uint32_t padding;
  // Address of the doubleword of the interrupt file, with `STORED`, `FAILED`, `NOTICE_FAILED`; else 0.
  uint64_t addr;
  // The bit to set in it, as a mask; else 0.
  uint64_t set;
  // The fault record; valid with `record_due`.
  uint64_t record[4];
  // Flag: `record` is to be reported.
  uint8_t record_due;
  // 0.
  uint8_t padding2[7];
} IommuMrifResult;

// Where a record goes.
typedef struct IommuPush {
  // What becomes of it. The other fields are valid with `WRITTEN`, `WRITE_FAILED` and `STORE`, else 0.
  IommuPushKind kind;
  // Index in the queue.
  uint32_t index;
  // Address of the record.
  uint64_t addr;
  // The bytes at that address, in the order that `fctl.BE` gives.
  uint8_t data[32];
  // Flag: the address is below 2^PAS; if not, the store fails without an access.
  uint8_t reachable;
  // 0.
  uint8_t padding[7];
} IommuPush;

// A command that was processed. Fields that `command` does not name are 0.
typedef struct IommuCommandResult {
  // What became of it.
  IommuCommandStep step;
  // Which one.
  IommuCommandKind command;
  // Address of the command.
  uint64_t addr;
  // Operand ADDR: for `IOTINVAL` the address with bits 11:0 zero, for `IOFENCE.C` a multiple of 4.
  uint64_t operand_addr;
  // Message body of an ATS command.
  uint64_t payload;
  // Index in the queue: `cqh` before it.
  uint32_t index;
  // PSCID, 20 bits.
  uint32_t pscid;
  // DID, 24 bits; valid with `dv`.
  uint32_t device_id;
  // PID, 20 bits; for ATS commands valid with `pv`.
  uint32_t process_id;
  // DATA of `IOFENCE.C`.
  uint32_t fence_data;
  // GSCID, 16 bits.
  uint16_t gscid;
  // RID of an ATS command, 16 bits.
  uint16_t rid;
  // DSEG of an ATS command, 8 bits; valid with `dsv`.
  uint8_t segment;
  // Flag GV.
  uint8_t gv;
  // Flag AV.
  uint8_t av;
  // Flag PSCV.
  uint8_t pscv;
  // Flag NL.
  uint8_t nl;
  // Flag S.
  uint8_t s;
  // Flag WSI.
  uint8_t wsi;
  // Flag PR.
  uint8_t pr;
  // Flag PW.
  uint8_t pw;
  // Flag DV.
  uint8_t dv;
  // Flag PV.
  uint8_t pv;
  // Flag DSV.
  uint8_t dsv;
  // 0.
  uint8_t padding[4];
  // Why it is illegal, ending in 0; else empty.
  char reason[IOMMU_TEXT_SIZE];
} IommuCommandResult;

// A "Page Request" or "Stop Marker" message of a device.
typedef struct IommuPageRequest {
  // 24 bits, else `RANGE`.
  uint32_t device_id;
  // 20 bits, else `RANGE`; 0 if `has_process_id` is 0.
  uint32_t process_id;
  // Bytes 8 to 15 of the message: R bit 0, W bit 1, L bit 2, Page Request Group Index 11:3, page address
  // 63:12.
  uint64_t payload;
  // Flag: the message has a PASID.
  uint8_t has_process_id;
  // Flag: "Privilege Mode Requested"; counts only with a PASID.
  uint8_t privileged;
  // Flag: "Execute Requested"; counts only with a PASID.
  uint8_t execute;
  // 0.
  uint8_t padding[5];
} IommuPageRequest;

// What became of a page request. A response that the IOMMU itself makes waits for
// `iommu_take_ats_messages`.
typedef struct IommuPageRequestResult {
  // What became of it.
  IommuPageRequestKind kind;
  // Flag: the IOMMU answered it.
  uint8_t answered;
  // Flag: `record` is to be reported.
  uint8_t record_due;
  // 0.
  uint8_t padding[2];
  // The fault record; valid with `record_due`.
  uint64_t record[4];
} IommuPageRequestResult;

// What became of an invalidation completion.
typedef struct IommuCompletionResult {
  // Flag: the device may send it; else it is an unsupported request.
  uint8_t accepted;
  // Flag: `record` is to be reported.
  uint8_t record_due;
  // 0.
  uint8_t padding[6];
  // The fault record; valid with `record_due`.
  uint64_t record[4];
} IommuCompletionResult;

// A message to a device.
typedef struct IommuAtsMessage {
  // Which one.
  IommuAtsMessageKind kind;
  // PASID, 20 bits; valid with `has_process_id`.
  uint32_t process_id;
  // Message body. A page response has the group index in bits 40:32 and the response code in 47:44.
  uint64_t payload;
  // Routing id of the device, 16 bits.
  uint16_t rid;
  // Segment, 8 bits; valid with `has_segment`.
  uint8_t segment;
  // ITag of an invalidation, 5 bits; else 0.
  uint8_t itag;
  // Flag: the message has a PASID.
  uint8_t has_process_id;
  // Flag: `segment` is valid.
  uint8_t has_segment;
  // 0.
  uint8_t padding[2];
} IommuAtsMessage;

// An interrupt message that is due.
typedef struct IommuMessage {
  // `msi_addr` of the vector.
  uint64_t addr;
  // `msi_data` of the vector.
  uint32_t data;
  // The bytes to store, in the order that `fctl.BE` gives.
  uint8_t bytes[4];
  // Vector, 0 to 15.
  uint8_t vector;
  // Flag: the address is below 2^PAS; if not, the store fails without an access.
  uint8_t reachable;
  // 0.
  uint8_t padding[6];
} IommuMessage;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Version of the interface that this library has: compare with `IOMMU_ABI_VERSION` of the header.
uint32_t iommu_abi_version(void);

// Copies the reason of the last failure in this thread to `buffer` (`capacity` bytes), cut if it
// is longer and always ended by 0. `buffer` may be null if `capacity` is 0. Returns the bytes that
// the whole text needs, the final 0 included; 1 if nothing failed yet.
//
// # Safety
// `buffer` is null or `capacity` bytes can be written there.
size_t iommu_last_error(char *buffer, size_t capacity);

// Fills `config` with specification version 1.0 without any other capability, and the choices
// that its fields name as initial.
//
// Errors: `NULL`, `ALIGNMENT`; `SIZE` if `size` is no `sizeof(IommuConfig)` that this library knows.
//
// # Safety
// `config` is null or `size` bytes can be written there.
IommuStatus iommu_config_init(struct IommuConfig *config, size_t size);

// Makes an IOMMU, as it is after reset. `*iommu` is to be given to `iommu_destroy` in the end.
//
// Errors: `NULL`, `ALIGNMENT`, `SIZE`, `RANGE`, `VALUE`; `CONFIG` if the specification forbids
// this combination.
//
// # Safety
// `config` is null or was filled by `iommu_config_init`; `iommu` is null or writable.
IommuStatus iommu_create(const struct IommuConfig *config, struct IommuGolden **iommu);

// Makes a second IOMMU in the same state as `iommu`: a snapshot, or a what-if.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `copy` is null or writable.
IommuStatus iommu_clone(const struct IommuGolden *iommu, struct IommuGolden **copy);

// Frees an IOMMU; null is fine.
//
// Errors: `BUSY` (it lives on), `ALIGNMENT`.
//
// # Safety
// `iommu` is null or came from `iommu_create` or `iommu_clone`, is not in use by another thread and
// is not used again.
IommuStatus iommu_destroy(struct IommuGolden *iommu);

// Resets registers, queues, interrupts and ATS state; the configuration stays.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive.
IommuStatus iommu_reset(struct IommuGolden *iommu);

// Lets `cycles` clock cycles pass for `iohpmcycles` (needs `IOMMU_CAP_HPM`, else nothing happens).
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive.
IommuStatus iommu_count_cycles(struct IommuGolden *iommu, uint64_t cycles);

// Makes a sparse memory: 2^64 - 1 bytes that start zero, pages allocated as they are written.
// `*memory` is to be given to `iommu_memory_destroy` in the end.
//
// Errors: `NULL`, `ALIGNMENT`.
//
// # Safety
// `memory` is null or writable.
IommuStatus iommu_memory_create_sparse(struct IommuMemory **memory);

// Makes a memory of callbacks, which are copied.
//
// Errors: `NULL` (`load` and `store` included), `ALIGNMENT`.
//
// # Safety
// `callbacks` is null or readable, its functions are what their types say as long as the memory
// lives; `memory` is null or writable.
IommuStatus iommu_memory_create_callbacks(const struct IommuMemoryCallbacks *callbacks,
                                          struct IommuMemory **memory);

// Frees a memory; null is fine.
//
// Errors: `BUSY` (it lives on), `ALIGNMENT`.
//
// # Safety
// `memory` is null or came from this library, is not in use by another thread and is not used again.
IommuStatus iommu_memory_destroy(struct IommuMemory *memory);

// Copies `size` bytes at `addr` of a sparse memory to `bytes`. Injected faults do not matter.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`; `RANGE` beyond 2^64 - 1.
//
// # Safety
// `memory` is null or alive; `bytes` is null or `size` bytes can be written there.
IommuStatus iommu_memory_read(const struct IommuMemory *memory, uint64_t addr, uint8_t *bytes, size_t size);

// Copies `size` bytes to `addr` of a sparse memory. Injected faults do not matter, and stay.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`; `RANGE` beyond 2^64 - 1.
//
// # Safety
// `memory` is null or alive; `bytes` is null or `size` bytes are readable there.
IommuStatus iommu_memory_write(struct IommuMemory *memory, uint64_t addr, const uint8_t *bytes, size_t size);

// Makes every access of the IOMMU that touches `size` bytes at `addr` of a sparse memory fail:
// `what` is `IOMMU_MEM_RESULT_ACCESS_FAULT` (bus error) or `IOMMU_MEM_RESULT_CORRUPT` (poison, which
// stores do not notice). Where both apply, the access fault wins. They stay until
// `iommu_memory_clear_faults`; 0 bytes are no fault.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`, `VALUE`; `RANGE` beyond 2^64 - 1.
//
// # Safety
// `memory` is null or alive.
IommuStatus iommu_memory_add_fault(struct IommuMemory *memory, uint64_t addr, uint64_t size, uint32_t what);

// Removes all injected faults of a sparse memory.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`.
//
// # Safety
// `memory` is null or alive.
IommuStatus iommu_memory_clear_faults(struct IommuMemory *memory);

// Reads `size` bytes (4 or 8) of the register page at `offset` into `*value`; 4 bytes are in its low
// half. Registers that do not exist read 0. Reading has no side effect.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` for another size; `REG_OUTSIDE`,
// `REG_MISALIGNED`, `REG_SPANS`.
//
// # Safety
// `iommu` is null or alive; `value` is null or writable.
IommuStatus iommu_reg_read(const struct IommuGolden *iommu, uint32_t offset, uint32_t size, uint64_t *value);

// Writes `size` bytes (4 or 8) of the register page at `offset`; of `value`, the low half counts if 4.
// Interrupts follow. `effects` may be null.
//
// Errors, with nothing changed: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` for another size, or for
// 4 with a value wider than that; `REG_OUTSIDE`, `REG_MISALIGNED`, `REG_SPANS`.
//
// # Safety
// `iommu` is null or alive; `effects` is null or writable.
IommuStatus iommu_reg_write(struct IommuGolden *iommu,
                            uint32_t offset,
                            uint32_t size,
                            uint64_t value,
                            struct IommuRegEffects *effects);

// Fills `request` with an untranslated 8-byte read at 0 of device 0 without process id.
//
// Errors: `NULL`, `ALIGNMENT`.
//
// # Safety
// `request` is null or writable.
IommuStatus iommu_request_init(struct IommuRequest *request);

// Translates: what registers and tables say now, with nothing cached. A refused request is a result,
// not an error. Page-table entries in `memory` change where the tables have A and D updated by hardware;
// the fault record is not queued (`iommu_report_fault` does).
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` and `VALUE` as the fields of `request` say.
//
// # Safety
// `iommu` and `memory` are null or alive; `request` is null or readable, `response` null or writable.
IommuStatus iommu_translate(struct IommuGolden *iommu,
                            struct IommuMemory *memory,
                            const struct IommuRequest *request,
                            struct IommuResponse *response);

// Runs the request that `tr_req_iova` and `tr_req_ctl` describe, if Go/Busy is 1: fills `tr_response` and
// clears Go/Busy. `*ran` is a flag; without it `*response` is not written. A record that is due is not
// queued yet.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` and `memory` are null or alive; `response` and `ran` are null or writable.
IommuStatus iommu_run_debug_request(struct IommuGolden *iommu,
                                    struct IommuMemory *memory,
                                    struct IommuResponse *response,
                                    uint8_t *ran);

// Does what an access to a page in MRIF mode does. `request` and `response` are those of an
// `iommu_translate` that answered `IOMMU_OUTCOME_MRIF`; `data` is what the access writes, first byte in
// bits 7:0 (reads: ignored). Only accesses with `len` 4 at a multiple of 4 are not aborted.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` and `VALUE` as the fields of `request` say;
// `STATE` if `response` is no `IOMMU_OUTCOME_MRIF`.
//
// # Safety
// `iommu` and `memory` are null or alive; `request` is null or readable, `response` null or written by
// `iommu_translate`, `result` null or writable.
IommuStatus iommu_mrif_access(const struct IommuGolden *iommu,
                              struct IommuMemory *memory,
                              const struct IommuRequest *request,
                              const struct IommuResponse *response,
                              uint32_t data,
                              struct IommuMrifResult *result);

// Reports a fault in one go: stores the record at the tail of the fault queue, unless the queue is off,
// stopped or full, and moves the tail. `record` is as `iommu_translate` gives it. `push` may be null.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` and `memory` are null or alive; `record` is null or 4 doublewords are readable there; `push` is
// null or writable.
IommuStatus iommu_report_fault(struct IommuGolden *iommu,
                               struct IommuMemory *memory,
                               const uint64_t *record,
                               struct IommuPush *push);

// Where a record goes, for a testbench that sees the store on a bus: store it, then call
// `iommu_fault_written` or `iommu_fault_write_failed`. `ahead` counts records that have a place already but
// are not written yet. A full queue sets the overflow bit.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `record` is null or 4 doublewords are readable there; `push` is null or
// writable.
IommuStatus iommu_fault_slot(struct IommuGolden *iommu,
                             const uint64_t *record,
                             uint32_t ahead,
                             struct IommuPush *push);

// The record at the tail of the fault queue has been stored: the tail moves on, `fip` follows.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `STATE` if the queue is off.
//
// # Safety
// `iommu` is null or alive.
IommuStatus iommu_fault_written(struct IommuGolden *iommu);

// Storing the record at the tail of the fault queue failed: `fqmf`, and `fip` follows.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `STATE` if the queue is off.
//
// # Safety
// `iommu` is null or alive.
IommuStatus iommu_fault_write_failed(struct IommuGolden *iommu);

// Processes up to `capacity` commands and says what became of each in `results`; `*count` of them. Ends
// early where the queue is off, stopped or empty, and after a command that stops it. The model caches
// nothing, so an invalidation has no effect but its result here. ATS messages wait for
// `iommu_take_ats_messages`; fences for ATS invalidations, until their completions or time-out.
//
// Errors: `NULL`, `ALIGNMENT`, `RANGE` (a capacity that no memory has), `BUSY`, `PANIC`.
//
// # Safety
// `iommu` and `memory` are null or alive; `results` is null or has room for `capacity`; `count` is null or
// writable.
IommuStatus iommu_process_commands(struct IommuGolden *iommu,
                                   struct IommuMemory *memory,
                                   struct IommuCommandResult *results,
                                   size_t capacity,
                                   size_t *count);

// Takes a page request in one go: stores its record or discards it, and answers it where that is the
// IOMMU's part.
//
// Errors: `NULL`, `ALIGNMENT`, `RANGE`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` and `memory` are null or alive; `request` is null or readable, `result` null or writable.
IommuStatus iommu_page_request(struct IommuGolden *iommu,
                               struct IommuMemory *memory,
                               const struct IommuPageRequest *request,
                               struct IommuPageRequestResult *result);

// Takes an "Invalidation Completion" of `device_id` for the ITags that are set in `itags`.
// `completions` is the number of such messages that the device sends for each request, 1 to 8. Tags that
// were not sent to this device are ignored.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` for a `device_id` above 24 bits or another number
// of completions.
//
// # Safety
// `iommu` and `memory` are null or alive; `result` is null or writable.
IommuStatus iommu_invalidation_completion(struct IommuGolden *iommu,
                                          struct IommuMemory *memory,
                                          uint32_t device_id,
                                          uint32_t itags,
                                          uint32_t completions,
                                          struct IommuCompletionResult *result);

// The protocol's time-out of every ATS invalidation in flight: tags are freed, and the next `IOFENCE.C`
// reports it with `cmd_to`. Nothing happens if none is in flight.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive.
IommuStatus iommu_ats_time_out(struct IommuGolden *iommu);

// ITags of ATS invalidations in flight, a bit each.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `itags` is null or writable.
IommuStatus iommu_itags_in_use(const struct IommuGolden *iommu, uint32_t *itags);

// Takes up to `capacity` messages to devices, oldest first; `*count` of them. The others wait.
//
// Errors: `NULL`, `ALIGNMENT`, `RANGE` (a capacity that no memory has), `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `messages` is null or has room for `capacity`; `count` is null or writable.
IommuStatus iommu_take_ats_messages(struct IommuGolden *iommu,
                                    struct IommuAtsMessage *messages,
                                    size_t capacity,
                                    size_t *count);

// The interrupt wires, bit n wire n: 0 while `fctl.WSI` is 0.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `wires` is null or writable.
IommuStatus iommu_wires(const struct IommuGolden *iommu, uint16_t *wires);

// Vectors that owe a message, masked ones included, bit n vector n.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `vectors` is null or writable.
IommuStatus iommu_pending_vectors(const struct IommuGolden *iommu, uint16_t *vectors);

// Up to `capacity` (16 is always enough) messages that are due, owed and not masked, by ascending vector;
// `*count` of them. They stay due until `iommu_message_sent`, `iommu_message_failed` or
// `iommu_send_messages`.
//
// Errors: `NULL`, `ALIGNMENT`, `RANGE` (a capacity that no memory has), `BUSY`, `PANIC`.
//
// # Safety
// `iommu` is null or alive; `messages` is null or has room for `capacity`; `count` is null or writable.
IommuStatus iommu_due_messages(const struct IommuGolden *iommu,
                               struct IommuMessage *messages,
                               size_t capacity,
                               size_t *count);

// The message of `vector` has been stored.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` above 15; `STATE` if none is due.
//
// # Safety
// `iommu` is null or alive.
IommuStatus iommu_message_sent(struct IommuGolden *iommu, uint32_t vector);

// The message of `vector` met an access fault and is lost. The record of cause 273, to be reported, goes
// to the 4 doublewords at `record`.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` above 15; `STATE` if none is due.
//
// # Safety
// `iommu` is null or alive; `record` is null or 4 doublewords are writable there.
IommuStatus iommu_message_failed(struct IommuGolden *iommu, uint32_t vector, uint64_t *record);

// Stores every message that is due to `memory`, and reports those that fail.
//
// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
//
// # Safety
// `iommu` and `memory` are null or alive.
IommuStatus iommu_send_messages(struct IommuGolden *iommu, struct IommuMemory *memory);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* IOMMU_GOLDEN_H */
