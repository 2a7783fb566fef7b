// Functions of every integer type narrower than a register, called with and
// returning registers whose upper bits are not theirs.
enum color { RED, GREEN, BLUE };
enum sign { MINUS = -1, PLUS = 1 };

#define DIRT 0x5a5a5a5a5a5a5a5aUL
#define PROBED __attribute__((noinline, noclone, used))
#define EFFECT __asm__ volatile("" ::: "memory")

// name, type, value, bytes
#define TYPES(X) \
	X(i8, signed char, -2, 1) \
	X(u8, unsigned char, 254, 1) \
	X(c, char, 'x', 1) \
	X(i16, short, -3, 2) \
	X(u16, unsigned short, 65533, 2) \
	X(i32, int, -4, 4) \
	X(u32, unsigned, 4294967292, 4) \
	X(i64, long, -5, 8) \
	X(u64, unsigned long, 18446744073709551611ul, 8) \
	X(yes, _Bool, 1, 1) \
	X(no, _Bool, 0, 1) \
	X(color, enum color, BLUE, 4) \
	X(sign, enum sign, MINUS, 4)

// value with dirt above its bytes
#define DIRTY(v, n) ((n) == 8 ? (unsigned long)(v) : (DIRT << (8 * (n) % 64) | ((unsigned long)(v) & ((1ul << (8 * (n) % 64)) - 1))))

#ifdef __x86_64__
#define RETURN(v) __asm__ volatile("mov %0, %%rax\n\tret" ::"i"(v))
#else
#define RETURN(v) __asm__ volatile("ldr x0, =%0\n\tret" ::"i"(v))
#endif

// The eighth and later ones are on the stack on both amd64 and arm64.
#define FUNCS(name, type, value, n) \
	PROBED void arg_##name(type v, long a1, long a2, long a3, long a4, long a5, long a6, long a7, type w) { EFFECT; } \
	__attribute__((naked, noinline, used)) type ret_##name(void) { RETURN(DIRTY(value, n)); }
TYPES(FUNCS)

PROBED int plain(int v) { EFFECT; return v; }

typedef void taker(unsigned long, long, long, long, long, long, long, long, unsigned long);
typedef void giver(void);

#define CALL(name, type, value, n) \
	f = (void *)arg_##name; \
	((taker *)f)(DIRTY(value, n), 1, 2, 3, 4, 5, 6, 7, DIRTY(value, n)); \
	f = (void *)ret_##name; \
	((giver *)f)();

int main(void) {
	void *volatile f; // so that the compiler does not see that the types differ
	TYPES(CALL)
	f = (void *)plain;
	((taker *)f)(0xfffffff9, 0, 0, 0, 0, 0, 0, 0, 0);
	return 0;
}
