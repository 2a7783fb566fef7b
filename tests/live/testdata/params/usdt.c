// USDT probes with arguments narrower than a register, in registers and memory
// whose other bits are not theirs. The notes are written here as <sys/sdt.h> does.
#define DIRT 0x5a5a5a5a5a5a5a5aUL
#define DIRTY(v, n) ((n) == 8 ? (unsigned long)(v) : (DIRT << (8 * (n) % 64) | ((unsigned long)(v) & ((1ul << (8 * (n) % 64)) - 1))))

#define NOTE(name, args) \
	"990: nop\n" \
	".pushsection .note.stapsdt,\"\",\"note\"\n" \
	".balign 4\n" \
	".4byte 992f-991f, 994f-993f, 3\n" \
	"991: .asciz \"stapsdt\"\n" \
	"992: .balign 4\n" \
	"993: .8byte 990b, 0, 0\n" \
	".asciz \"widths\"\n" \
	".asciz \"" name "\"\n" \
	".asciz \"" args "\"\n" \
	"994: .balign 4\n" \
	".popsection\n"

#ifdef __x86_64__
#define VALUE "rdi"
#define PLACE "rsi"
#define PART1 "%%dil"
#define PART2 "%%di"
#define PART4 "%%edi"
#define PART8 "%%rdi"
#define WHOLE "%%rdi"
#define MEMORY "8(%%rsi)"
#define CONST "$"
#else
#define VALUE "x0"
#define PLACE "x1"
#define PART1 "w0"
#define PART2 "w0"
#define PART4 "w0"
#define PART8 "x0"
#define WHOLE "x0"
#define MEMORY "[x1, 8]"
#define CONST ""
#endif

// Each probe has its value in a part of a register, a whole register, in memory, and
// as a constant.
#define PROBE(name, value, size, n, text) { \
	register unsigned long v __asm__(VALUE) = DIRTY(value, n); \
	unsigned long mem[3] = {DIRT, DIRTY(value, n), DIRT}; \
	register unsigned long *p __asm__(PLACE) = mem; \
	__asm__ volatile(NOTE(#name, size "@" PART##n " " size "@" WHOLE " " size "@" MEMORY " " size "@" CONST text) :: "r"(v), "r"(p), "m"(mem)); \
}

int main(void) {
	PROBE(i8, -2, "-1", 1, "-2")
	PROBE(u8, 254, "1", 1, "254")
	PROBE(i16, -3, "-2", 2, "-3")
	PROBE(u16, 65533, "2", 2, "65533")
	PROBE(i32, -4, "-4", 4, "-4")
	PROBE(u32, 4294967292, "4", 4, "4294967292")
	PROBE(i64, -5, "-8", 8, "-5")
	PROBE(zero, 0, "-1", 1, "0")
	return 0;
}
