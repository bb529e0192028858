// The golden model from C: tables in the library's own memory, a translation, a fault record, commands,
// and the same tables once more behind callbacks.
//
//   cargo build --release -p iommu-golden-c
//   cp target/release/libiommu_golden_c.a harness/golden-c/examples/walk.c .
//   cc -I harness/golden-c/include walk.c libiommu_golden_c.a -lpthread -ldl -lm -o walk

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu_golden.h"

#define CHECK(what)                                                                      \
    do {                                                                                 \
        if (!(what)) {                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);           \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

#define OK(call)                                                                         \
    do {                                                                                 \
        IommuStatus status_ = (call);                                                    \
        if (status_ != IOMMU_STATUS_OK) {                                                \
            char why_[200];                                                              \
            iommu_last_error(why_, sizeof why_);                                         \
            fprintf(stderr, "%s:%d: status %u: %s\n", __FILE__, __LINE__,                \
                    (unsigned)status_, why_);                                            \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

enum { DEVICE = 3 };
static const uint64_t DDT = 0x1000, ROOT = 0x2000, L1 = 0x3000, L0 = 0x4000, FQ = 0x5000, CQ = 0x6000,
                      DONE = 0x7000;

// Doublewords of memory are little-endian; this does not assume that the host is.
static void put(IommuMemory *m, uint64_t addr, uint64_t value) {
    uint8_t b[8];
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(value >> (8 * i));
    OK(iommu_memory_write(m, addr, b, sizeof b));
}

static uint64_t get(IommuMemory *m, uint64_t addr) {
    uint8_t b[8];
    uint64_t value = 0;
    OK(iommu_memory_read(m, addr, b, sizeof b));
    for (int i = 0; i < 8; i++) value |= (uint64_t)b[i] << (8 * i);
    return value;
}

static uint64_t reg(IommuGolden *iommu, uint32_t offset, uint32_t size) {
    uint64_t value;
    OK(iommu_reg_read(iommu, offset, size, &value));
    return value;
}

// Memory by callbacks: forwards to the sparse one, and counts.
struct Counted {
    IommuMemory *backing;
    unsigned loads, page_table_loads, stores;
    uint64_t refuse;  // loads of this address are access faults
};

static uint32_t on_load(void *user, uint64_t addr, uint32_t size, const IommuLabel *label, uint64_t *value) {
    struct Counted *c = user;
    c->loads++;
    if (label->what == IOMMU_WHAT_FIRST_STAGE) c->page_table_loads++;
    if (addr == c->refuse) return IOMMU_MEM_RESULT_ACCESS_FAULT;
    *value = get(c->backing, addr);
    (void)size;
    return IOMMU_MEM_RESULT_OK;
}

static uint32_t on_store(void *user, uint64_t addr, uint32_t size, const uint8_t *bytes,
                         const IommuLabel *label) {
    struct Counted *c = user;
    CHECK(label->what == IOMMU_WHAT_FAULT_QUEUE);
    c->stores++;
    OK(iommu_memory_write(c->backing, addr, bytes, size));
    return IOMMU_MEM_RESULT_OK;
}

int main(void) {
    CHECK(iommu_abi_version() == IOMMU_ABI_VERSION);

    // An IOMMU with Sv39, 46-bit physical addresses, and interrupts by wire.
    IommuConfig config;
    IommuGolden *iommu;
    OK(iommu_config_init(&config, sizeof config));
    config.capabilities |= IOMMU_CAP_SV39 | (uint64_t)46 << IOMMU_CAP_PAS_SHIFT |
                           (uint64_t)1 << IOMMU_CAP_IGS_SHIFT;
    OK(iommu_create(&config, &iommu));

    // A one-level device directory, and Sv39 tables that map page 5.
    IommuMemory *memory;
    OK(iommu_memory_create_sparse(&memory));
    put(memory, DDT + 32 * DEVICE, 1);                                // tc: V
    put(memory, DDT + 32 * DEVICE + 16, (uint64_t)0x42 << 12);        // ta: PSCID
    put(memory, DDT + 32 * DEVICE + 24, (uint64_t)8 << 60 | ROOT >> 12);  // fsc: Sv39
    put(memory, ROOT, L1 >> 12 << 10 | 1);
    put(memory, L1, L0 >> 12 << 10 | 1);
    put(memory, L0 + 8 * 5, (uint64_t)0x80000 << 10 | 0xd7);          // V R W U A D

    IommuRegEffects effects;
    OK(iommu_reg_write(iommu, IOMMU_REG_DDTP, 8, DDT >> 12 << 10 | 2, &effects));  // 1LVL
    CHECK(effects.ddtp == 1);
    OK(iommu_reg_write(iommu, IOMMU_REG_FQB, 8, FQ >> 12 << 10 | 1, NULL));  // 4 entries
    OK(iommu_reg_write(iommu, IOMMU_REG_FQCSR, 4, 3, &effects));             // fqen, fie
    CHECK(effects.enabled == IOMMU_QUEUE_FAULT);
    OK(iommu_reg_write(iommu, IOMMU_REG_CQB, 8, CQ >> 12 << 10 | 1, NULL));
    OK(iommu_reg_write(iommu, IOMMU_REG_CQCSR, 4, 1, NULL));  // cqen

    // Granted.
    IommuRequest request;
    IommuResponse response;
    OK(iommu_request_init(&request));
    request.device_id = DEVICE;
    request.iova = 0x5678;
    OK(iommu_translate(iommu, memory, &request, &response));
    CHECK(response.outcome == IOMMU_OUTCOME_GRANTED);
    CHECK(response.spa == 0x80000678 && response.range_log2 == 12);
    CHECK(response.permissions == (IOMMU_PERMISSION_READ | IOMMU_PERMISSION_WRITE));
    CHECK(response.has_pscid == 1 && response.pscid == 0x42 && response.has_gscid == 0);
    CHECK(response.walks.first_stage == 1 && response.walks.device_directory == 1);
    printf("0x%" PRIx64 " -> 0x%" PRIx64 "\n", request.iova, response.spa);

    // Denied: no mapping. The record goes to the fault queue, and the wire of vector 0 rises.
    request.iova = 0x6000;
    request.access = IOMMU_ACCESS_WRITE;
    OK(iommu_translate(iommu, memory, &request, &response));
    CHECK(response.outcome == IOMMU_OUTCOME_DENIED && response.cause == 15 && response.record_due == 1);
    CHECK(response.record[2] == 0x6000 && (response.record[0] >> 40) == DEVICE);
    printf("0x%" PRIx64 ": cause %u, %s\n", request.iova, response.cause, response.rule);
    IommuPush push;
    OK(iommu_report_fault(iommu, memory, response.record, &push));
    CHECK(push.kind == IOMMU_PUSH_KIND_WRITTEN && push.addr == FQ && push.index == 0);
    CHECK(get(memory, FQ) == response.record[0] && get(memory, FQ + 16) == 0x6000);
    CHECK(reg(iommu, IOMMU_REG_FQT, 4) == 1);
    uint16_t wires;
    OK(iommu_wires(iommu, &wires));
    CHECK(wires == 1);

    // An injected error: the walk meets it.
    request.iova = 0x5000;
    OK(iommu_memory_add_fault(memory, L0, 4096, IOMMU_MEM_RESULT_ACCESS_FAULT));
    OK(iommu_translate(iommu, memory, &request, &response));
    CHECK(response.cause == 7);
    OK(iommu_memory_clear_faults(memory));
    OK(iommu_memory_add_fault(memory, L0, 4096, IOMMU_MEM_RESULT_CORRUPT));
    OK(iommu_translate(iommu, memory, &request, &response));
    CHECK(response.cause == 274);
    OK(iommu_memory_clear_faults(memory));

    // Commands: IOTINVAL.VMA of everything, IOFENCE.C with a store, and a reserved one.
    put(memory, CQ, 1);
    put(memory, CQ + 16, 2 | 1 << 10 | (uint64_t)0xcafe << 32);
    put(memory, CQ + 24, DONE >> 2);
    put(memory, CQ + 32, 5);
    OK(iommu_reg_write(iommu, IOMMU_REG_CQT, 4, 3, NULL));
    IommuCommandResult done[8];
    size_t count;
    OK(iommu_process_commands(iommu, memory, done, 8, &count));
    CHECK(count == 3);
    CHECK(done[0].step == IOMMU_COMMAND_STEP_DONE && done[0].command == IOMMU_COMMAND_KIND_IOTINVAL_VMA);
    CHECK(done[1].step == IOMMU_COMMAND_STEP_DONE && done[1].command == IOMMU_COMMAND_KIND_IOFENCE_C);
    CHECK(done[1].operand_addr == DONE && get(memory, DONE) == 0xcafe);
    CHECK(done[2].step == IOMMU_COMMAND_STEP_ILLEGAL && done[2].index == 2);
    printf("command %u: %s\n", done[2].index, done[2].reason);
    CHECK(reg(iommu, IOMMU_REG_CQH, 4) == 2 && (reg(iommu, IOMMU_REG_CQCSR, 4) >> 10 & 1) == 1);

    // The same tables behind callbacks.
    struct Counted counted = {.backing = memory, .refuse = UINT64_MAX};
    IommuMemoryCallbacks callbacks = {.user = &counted, .load = on_load, .store = on_store};
    IommuMemory *called;
    OK(iommu_memory_create_callbacks(&callbacks, &called));
    OK(iommu_translate(iommu, called, &request, &response));
    CHECK(response.outcome == IOMMU_OUTCOME_GRANTED && response.spa == 0x80000000);
    CHECK(counted.page_table_loads == 3 && counted.loads == 3 + 4);  // a device context is 4 doublewords
    counted.refuse = DDT + 32 * DEVICE;
    OK(iommu_translate(iommu, called, &request, &response));
    CHECK(response.cause == 257);
    OK(iommu_report_fault(iommu, called, response.record, &push));
    CHECK(counted.stores == 1 && push.addr == FQ + 32 && get(memory, FQ + 48) == request.iova);

    // What is refused, with the reason.
    char why[200];
    CHECK(iommu_translate(iommu, NULL, &request, &response) == IOMMU_STATUS_NULL);
    CHECK(iommu_reg_read(iommu, 1, 8, &(uint64_t){0}) == IOMMU_STATUS_REG_MISALIGNED);
    CHECK(iommu_memory_clear_faults(called) == IOMMU_STATUS_NOT_SPARSE);
    request.device_id = 1 << 24;
    CHECK(iommu_translate(iommu, memory, &request, &response) == IOMMU_STATUS_RANGE);
    CHECK(iommu_last_error(why, sizeof why) == strlen(why) + 1);
    printf("%s\n", why);

    OK(iommu_memory_destroy(called));
    OK(iommu_memory_destroy(memory));
    OK(iommu_destroy(iommu));
    return 0;
}
