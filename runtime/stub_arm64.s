#include "textflag.h"

// func stubCode() unsafe.Pointer
TEXT ·stubCode(SB), NOSPLIT, $0-8
	MOVD $stub<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// See stub_amd64.s.
TEXT stub<>(SB), NOSPLIT|NOFRAME, $0
	MOVD RSP, R19
	MOVD $15, R0         // prctl(PR_SET_NAME, argv[0])
	MOVD 8(R19), R1
	MOVD $167, R8
	SVC
wait:
	MOVD $3, R0          // read(3, sp-64, 1)
	SUB  $64, R19, R1
	MOVD $1, R2
	MOVD $63, R8
	SVC
	CMN  $4, R0          // EINTR
	BEQ  wait
	CMP  $1, R0
	BNE  exit
	MOVD $3, R0          // fcntl(3, F_SETFD, FD_CLOEXEC)
	MOVD $2, R1
	MOVD $1, R2
	MOVD $25, R8
	SVC
	MOVD (R19), R3       // execve(argv[1], &argv[2], env)
	ADD  R3<<3, R19, R2
	ADD  $16, R2, R2
	MOVD 16(R19), R0
	ADD  $24, R19, R1
	MOVD $221, R8
	SVC
	NEG  R0, R0          // write(3, &errno, 8)
	SUB  $64, R19, R1
	MOVD R0, (R1)
	MOVD $3, R0
	MOVD $8, R2
	MOVD $64, R8
	SVC
exit:
	MOVD $127, R0        // exit_group(127)
	MOVD $94, R8
	SVC
	B    exit
