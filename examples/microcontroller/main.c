/*
 * Classify pictures on a Cortex-M4, without an operating system and without a C library.
 *
 * The pictures are the bytes of the file pixels.bin, one after the other. For each, one line is printed: its logits, the number of
 * the answer, and its name. Reading and printing use Arm's semihosting, which an emulator or a debugger answers. On a product, the
 * pixels come from a camera instead.
 */
#include "pets.h"

#define PIXELS (PETS_HEIGHT * PETS_WIDTH * 3)

/* Defined by mps2.ld. */
extern uint32_t data_in_flash[], data_start[], data_end[], bss_start[], bss_end[], stack_limit[], stack_unused[], stack_top[];

static uint8_t pixels[PIXELS];
static int32_t logits[PETS_CLASSES];

/* Operations of Arm's "Semihosting for AArch32 and AArch64", section 5. */
enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_READ = 0x06, SYS_EXIT = 0x18 };
enum { READ_BINARY = 1, APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };

static int32_t semihosting(int32_t operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *text)
{
    semihosting(SYS_WRITE0, text);
}

static void print_number(int32_t number)
{
    char text[13];
    char *first = text + sizeof text - 1;
    uint32_t rest = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
    *first = '\0';
    *--first = ' ';
    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        *--first = '-';
    }
    print(first);
}

/* Count the bytes of the stack that were ever written. */
static int32_t stack_used(void)
{
    const uint32_t *lowest = stack_limit;
    while (*lowest == 0xdeadbeef) {
        lowest++;
    }
    return (int32_t)((stack_top - lowest) * 4);
}

static int run(void)
{
    static const char file[] = "pixels.bin";
    const uint32_t open[3] = {(uint32_t)(uintptr_t)file, READ_BINARY, sizeof file - 1};
    const int32_t handle = semihosting(SYS_OPEN, open);
    if (handle < 0) {
        print("pixels.bin cannot be read.\n");
        return RUN_TIME_ERROR;
    }
    for (;;) {
        const uint32_t read[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)pixels, PIXELS};
        int32_t best, k;
        if (semihosting(SYS_READ, read) != 0) { /* the number of bytes that are missing */
            break;
        }
        pets_logits(pixels, logits);
        for (k = 0; k < PETS_CLASSES; k++) {
            print_number(logits[k]);
        }
        best = pets_classify(pixels);
        print_number(best);
        print(pets_class_names[best]);
        print("\n");
    }
    print("stack ");
    print_number(stack_used());
    print("\n");
    return APPLICATION_EXIT;
}

/* The processor starts here, with nothing in memory but what the flash holds. */
void reset(void)
{
    const uint32_t *from = data_in_flash;
    uint32_t *to;
    for (to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to < bss_end; to++) {
        *to = 0;
    }
    for (to = stack_limit; to < stack_unused; to++) { /* the rest is in use by this function */
        *to = 0xdeadbeef;
    }
    semihosting(SYS_EXIT, (const void *)(uintptr_t)run());
    for (;;) {
    }
}

static void fault(void)
{
    print("The processor stopped with a fault.\n");
    semihosting(SYS_EXIT, (const void *)(uintptr_t)RUN_TIME_ERROR);
    for (;;) {
    }
}

/* The first words of the flash: the top of the stack, and what to run at reset, NMI, hard fault and three other faults. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[7] = {
    (uintptr_t)stack_top, (uintptr_t)reset, (uintptr_t)fault, (uintptr_t)fault,
    (uintptr_t)fault,     (uintptr_t)fault, (uintptr_t)fault,
};
