package amd64

import "testing"

func TestEffectOf(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want Effect
	}{
		{"push %rbp", []byte{0x55}, Effect{Size: 1, Change: Push, Reg: FramePointer}},
		{"push %r13", []byte{0x41, 0x55}, Effect{Size: 2, Change: Push}},
		{"push %rbx", []byte{0x53}, Effect{Size: 1, Change: Push, Reg: BaseRegister}},
		{"push $1", []byte{0x6a, 1}, Effect{Size: 2, Change: Push}},
		{"push 8(%rax)", []byte{0xff, 0x70, 8}, Effect{Size: 3, Change: Push}},
		{"pop %rbp", []byte{0x5d}, Effect{Size: 1, Change: Pop, Reg: FramePointer}},
		{"pop %rsp", []byte{0x5c}, Effect{Size: 1, Change: LoseSP}},
		{"sub $0x28,%rsp", []byte{0x48, 0x83, 0xec, 0x28}, Effect{Size: 4, Change: AddSP, N: -0x28}},
		{"sub $0x188,%rsp", []byte{0x48, 0x81, 0xec, 0x88, 1, 0, 0}, Effect{Size: 7, Change: AddSP, N: -0x188}},
		{"add $8,%rsp", []byte{0x48, 0x83, 0xc4, 8}, Effect{Size: 4, Change: AddSP, N: 8}},
		{"cmp $8,%rsp", []byte{0x48, 0x83, 0xfc, 8}, Effect{Size: 4}},
		{"and $-16,%rsp", []byte{0x48, 0x83, 0xe4, 0xf0}, Effect{Size: 4, Change: LoseSP}},
		{"sub %rax,%rsp", []byte{0x48, 0x29, 0xc4}, Effect{Size: 3, Change: LoseSP}},
		{"mov %rsp,%rbp", []byte{0x48, 0x89, 0xe5}, Effect{Size: 3, Change: FPFromSP, Reg: FramePointer}},
		{"mov %rsp,%rbp, the other form", []byte{0x48, 0x8b, 0xec}, Effect{Size: 3, Change: FPFromSP, Reg: FramePointer}},
		{"mov %rbp,%rsp", []byte{0x48, 0x89, 0xec}, Effect{Size: 3, Change: SPFromFP}},
		{"mov %rsp,%r13", []byte{0x49, 0x89, 0xe5}, Effect{Size: 3}},
		{"lea 16(%rsp),%rbp", []byte{0x48, 0x8d, 0x6c, 0x24, 0x10}, Effect{Size: 5, Change: FPFromSP, Reg: FramePointer, N: 16}},
		{"lea 16(%rsp,%rax),%rbp", []byte{0x48, 0x8d, 0x6c, 0x04, 0x10}, Effect{Size: 5, Change: LoseReg, Reg: FramePointer}},
		{"lea -24(%rbp),%rsp", []byte{0x48, 0x8d, 0x65, 0xe8}, Effect{Size: 4, Change: SPFromFP, N: -24}},
		{"lea 8(%rsp),%rsp", []byte{0x48, 0x8d, 0x64, 0x24, 8}, Effect{Size: 5, Change: AddSP, N: 8}},
		{"mov %rbp,8(%rsp)", []byte{0x48, 0x89, 0x6c, 0x24, 8}, Effect{Size: 5, Change: StoreReg, Reg: FramePointer, N: 8}},
		{"mov 8(%rsp),%rbx", []byte{0x48, 0x8b, 0x5c, 0x24, 8}, Effect{Size: 5, Change: LoadReg, Reg: BaseRegister, N: 8}},
		{"mov 8(%r12),%rbx", []byte{0x49, 0x8b, 0x5c, 0x24, 8}, Effect{Size: 5, Change: LoseReg, Reg: BaseRegister}},
		{"xor %ebp,%ebp", []byte{0x31, 0xed}, Effect{Size: 2, Change: ClearReg, Reg: FramePointer}},
		{"xor %r13d,%r13d", []byte{0x45, 0x31, 0xed}, Effect{Size: 3}},
		{"mov $1,%ebx", []byte{0xbb, 1, 0, 0, 0}, Effect{Size: 5, Change: LoseReg, Reg: BaseRegister}},
		{"leave", []byte{0xc9}, Effect{Size: 1, Change: LeaveFrame}},
		{"ret", []byte{0xc3}, Effect{Size: 1, Flow: FlowReturn}},
		{"ret $8", []byte{0xc2, 8, 0}, Effect{Size: 3, Flow: FlowReturn, N: 8}},
		{"call", []byte{0xe8, 0, 1, 0, 0}, Effect{Size: 5, Flow: FlowCall, Target: 0x1105}},
		{"call *%rax", []byte{0xff, 0xd0}, Effect{Size: 2, Flow: FlowCall}},
		{"jmp *(%rax,%rcx,8)", []byte{0xff, 0x24, 0xc8}, Effect{Size: 3, Flow: FlowAway}},
		{"ud2", []byte{0x0f, 0x0b}, Effect{Size: 2, Flow: FlowEnd}},
		{"endbr64", []byte{0xf3, 0x0f, 0x1e, 0xfa}, Effect{Size: 4}},
		{"lea 0x100(%rip),%rax", []byte{0x48, 0x8d, 0x05, 0, 1, 0, 0}, Effect{Size: 7, Taken: 0x1107}},
		{"vmovdqu (%rsp),%ymm5", []byte{0xc5, 0xfe, 0x6f, 0x2c, 0x24}, Effect{Size: 5}},
	} {
		if got, ok := EffectOf(c.code, 0x1000); !ok || got != c.want {
			t.Errorf("%s: %+v %v, want %+v", c.name, got, ok, c.want)
		}
	}
}
