#include "textflag.h"

// func stubCode() unsafe.Pointer
TEXT ·stubCode(SB), NOSPLIT, $0-8
	LEAQ stub<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// The stub starts with argc at SP, followed by the arguments, a null pointer and
// the environment. It refers only to its stack, so it runs at any address.
TEXT stub<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ SP, BX
	MOVL $157, AX        // prctl(PR_SET_NAME, argv[0])
	MOVL $15, DI
	MOVQ 8(BX), SI
	SYSCALL
wait:
	XORL AX, AX          // read(3, sp-64, 1)
	MOVL $3, DI
	LEAQ -64(BX), SI
	MOVL $1, DX
	SYSCALL
	CMPQ AX, $-4         // EINTR
	JEQ  wait
	CMPQ AX, $1
	JNE  exit
	MOVL $72, AX         // fcntl(3, F_SETFD, FD_CLOEXEC)
	MOVL $3, DI
	MOVL $2, SI
	MOVL $1, DX
	SYSCALL
	MOVQ 0(BX), DX       // execve(argv[1], &argv[2], env)
	LEAQ 16(BX)(DX*8), DX
	MOVQ 16(BX), DI
	LEAQ 24(BX), SI
	MOVL $59, AX
	SYSCALL
	NEGQ AX              // write(3, &errno, 8)
	MOVQ AX, -64(BX)
	MOVL $1, AX
	MOVL $3, DI
	LEAQ -64(BX), SI
	MOVL $8, DX
	SYSCALL
exit:
	MOVL $231, AX        // exit_group(127)
	MOVL $127, DI
	SYSCALL
	JMP  exit
