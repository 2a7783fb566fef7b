package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/internal/irgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/opt"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/irtest"
)

// thisThread implements the helpers that describe the thread under test.
type thisThread struct{}

func (thisThread) Call(m *irtest.Machine, h *ir.Helper, args []uint64) (uint64, error) {
	if h == ir.CurrentPidTgid {
		return uint64(os.Getpid())<<32 | uint64(unix.Gettid()), nil
	}
	return 0, errors.ErrUnsupported
}

// needKernel skips the test if BPF programs cannot be loaded.
func needKernel(t testing.TB) {
	t.Helper()
	_ = rlimit.RemoveMemlock() // before 5.11; refused where it does not matter
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, os.ErrPermission) {
		t.Skip("cannot load BPF: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

// haveV4 reports whether the kernel supports sign-extending moves. (Older kernels
// mistake the 32-bit jump of the same extension for another instruction.)
func haveV4() bool {
	return accepts(asm.Mov.Imm(asm.R0, 0), asm.MovSX8.Reg(asm.R0, asm.R0))
}

// haveFetch reports whether the kernel supports atomic exchanges.
func haveFetch() bool {
	return accepts(asm.Mov.Imm(asm.R0, 0), asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord), atomic(asm.Xchg, asm.RFP, asm.R0, asm.DWord, -8))
}

// accepts reports whether the kernel accepts a program of these instructions. It panics if they
// do not reach the verifier.
func accepts(insns ...asm.Instruction) bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "GPL", Instructions: append(insns, asm.Return()),
	})
	var refused *ebpf.VerifierError
	switch {
	case err == nil:
		p.Close()
	case !errors.As(err, &refused) && !errors.Is(err, os.ErrPermission):
		panic(err)
	}
	return err == nil
}

// differ runs the only program of m in the kernel and in the interpreter, with the same
// context. It compares the results and the map "out".
func differ(t *testing.T, m *ir.Module, opts Target, ctxs [][]byte) {
	t.Helper()
	runtime.LockOSThread() // programs read the ID of the thread
	defer runtime.UnlockOSThread()
	out, err := Emit(m, opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, m)
	}
	spec := (&object.Object{Kernel: out.Maps, Programs: out.Progs}).Spec()
	for _, p := range spec.Programs {
		p.Type, p.License = ebpf.RawTracepoint, "GPL"
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			if n := len(ve.Log); n > 60 {
				ve.Log = ve.Log[n-60:]
			}
			t.Fatalf("refused: %s\n%s\n%s", strings.Join(ve.Log, "\n"), disassemble(out), m)
		}
		t.Fatalf("%v\n%s\n%s", err, disassemble(out), m)
	}
	defer coll.Close()
	mc := irtest.NewMachine(m, nil)
	mc.Helpers = thisThread{}
	for _, ctx := range ctxs {
		mc.Ctx, mc.Steps = ctx, 0
		want, err := mc.Run(m.Progs[0])
		if err != nil {
			t.Fatalf("interpreter: %v\n%s", err, m)
		}
		got, err := coll.Programs["p"].Run(&ebpf.RunOptions{Context: ctx})
		if err != nil {
			t.Fatal(err)
		}
		var outGot []byte
		if err := coll.Maps["out"].Lookup(uint32(0), &outGot); err != nil {
			t.Fatal(err)
		}
		outWant, err := mc.Mem(mc.Maps[m.Maps[0]].Values["\x00\x00\x00\x00"], irgen.OutSize)
		if err != nil {
			t.Fatal(err)
		}
		if got != uint32(want) || !bytes.Equal(outGot, outWant) {
			diff := ""
			for i := 0; i+8 <= len(outGot); i += 8 {
				if !bytes.Equal(outGot[i:i+8], outWant[i:i+8]) {
					diff += fmt.Sprintf("out+%d: %x, want %x\n", i, outGot[i:i+8], outWant[i:i+8])
				}
			}
			t.Fatalf("returned %#x, want %#x\n%s%s\n%s", got, uint32(want), diff, disassemble(out), m)
		}
	}
}

// TestDifferential compiles random programs, runs them in the kernel and compares the
// results with those of the interpreter. GOTRACE_SEEDS=from-to selects other programs.
func TestDifferential(t *testing.T) {
	needKernel(t)
	v4, fetch := haveV4(), haveFetch()
	loops := features.HaveProgramHelper(ebpf.RawTracepoint, asm.FnLoop) == nil
	from, to := int64(0), int64(150)
	if s := os.Getenv("GOTRACE_SEEDS"); s != "" {
		a, b, _ := strings.Cut(s, "-")
		from, _ = strconv.ParseInt(a, 10, 64)
		to, _ = strconv.ParseInt(b, 10, 64)
	}
	for seed := from; seed < to; seed++ {
		cfg := irgen.Config{Size: 10 + int(seed%7)*12, BigSlots: seed%3 == 0, Calls: seed%4 == 0, Fetch: fetch, Loops: loops && seed%2 == 0}
		m := irgen.Program(seed, cfg)
		if seed%9 == 5 {
			cfg.Vars = 16
			m = irgen.Program(seed, cfg)
		}
		if err := ir.Verify(m); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, m)
		}
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			differ(t, m, Target{V4: v4 && seed%2 == 0, OnStackLimit: int(seed%5) * 16}, irgen.Contexts(seed, 4))
			opt.Run(m)
			differ(t, m, Target{V4: v4 && seed%2 == 1, VarStack: v4, OnStackLimit: int(seed%6) * 16}, irgen.Contexts(seed, 4))
		})
		if !ok {
			break
		}
	}
}
