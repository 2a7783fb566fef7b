// Functions and USDT probes of which some cannot be probed: the kernel refuses
// instructions with a lock prefix (amd64) and loads exclusive (arm64). The symbol of
// f_unsized has no size.
#ifdef __x86_64__
#define UNFIT "lock orl $0, (%rsp)"
#else
#define UNFIT "ldxr x9, [sp]"
#endif

#define FUNC(name, insn, size) \
	__asm__(".text\n.globl " #name "\n.type " #name ",%function\n" #name ": " insn "\nnop\nret\n" size); \
	void name(void);
FUNC(f_first, "nop", ".size f_first,.-f_first\n")
FUNC(f_unfit, UNFIT, ".size f_unfit,.-f_unfit\n")
FUNC(f_unsized, "nop", "")
FUNC(f_last, "nop", ".size f_last,.-f_last\n")

#define USDT(name, insn) \
	__asm__ volatile("990: " insn "\n" \
	".pushsection .note.stapsdt,\"\",%note\n" \
	".balign 4\n" \
	".4byte 992f-991f, 994f-993f, 3\n" \
	"991: .asciz \"stapsdt\"\n" \
	"992: .balign 4\n" \
	"993: .8byte 990b, 0, 0\n" \
	".asciz \"unfit\"\n" \
	".asciz \"" name "\"\n" \
	".asciz \"\"\n" \
	"994: .balign 4\n" \
	".popsection\n")

int main(void) {
	for (int i = 0; i < 3; i++) {
		f_first(); f_unfit(); f_unsized(); f_last();
		USDT("u_first", "nop");
		USDT("u_unfit", UNFIT);
		USDT("u_last", "nop");
	}
	return 0;
}
