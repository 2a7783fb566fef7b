package bpf

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"

	"github.com/gotrace/gotrace/codegen/internal/irgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/tests/irtest"
)

const outMap = "map out array key 4 value 256 max 1\n"

// runText compares kernel and interpreter on a program given as text.
func runText(t *testing.T, text string, opts Target) {
	t.Helper()
	needKernel(t)
	m, err := irtest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	differ(t, m, opts, irgen.Contexts(1, 3))
}

// TestCallback sums in a bpf_loop callback that has its own frame and scratch memory.
func TestCallback(t *testing.T) {
	needKernel(t)
	if features.HaveProgramHelper(ebpf.RawTracepoint, asm.FnLoop) != nil {
		t.Skip("needs Linux 5.17 for bpf_loop")
	}
	runText(t, outMap+`
prog p kind "raw_tp"
func main(ctx)
b0:
	v0 = param 0
	v1 = load64 v0
	v2 = slot 24
	store64 v2 v1
	v3 = const 0
	store64 v2 +8 v3
	store64 v2 +16 v3
	v4 = const 10
	v5 = func cb
	v6 = call loop v4 v5 v2 v3
	v7 = load64 v2 +8
	v8 = mapvalue out
	store64 v8 v7
	store64 v8 +8 v6
	v9 = slot 600
	zero v9 600
	store64 v9 +592 v1
	v10 = load64 v9 +592
	store64 v8 +16 v10
	v11 = zext32 v7
	ret v11
func cb(int slot)
b0:
	v0 = param 0
	v1 = param 1
	v2 = slot 400
	zero v2 400
	store64 v2 +392 v0
	v3 = load64 v1
	v4 = load64 v1 +8
	v5 = load64 v2 +392
	v6 = mul v3 v5
	v7 = add v4 v6
	store64 v1 +8 v7
	v8 = const 8
	v9 = eq v0 v8
	ret v9
`, Target{})
}

// TestBulk clears and copies more bytes than straight-line code does.
func TestBulk(t *testing.T) {
	runText(t, outMap+`
prog p kind "raw_tp"
func main(ctx)
b0:
	v0 = param 0
	v1 = load64 v0
	v2 = slot 3001
	v3 = slot 1500
	zero v2 3001
	zero v3 1500
	store64 v2 +1003 v1
	store64 v2 +1490 v1
	store8 v2 +8 v1
	v4 = const 8
	v5:slot = add v2 v4
	copy v3 +1 v5 1499
	v6 = mapvalue out
	v7 = load64 v3 +996
	store64 v6 v7
	v8 = load64 v3 +1483
	store64 v6 +8 v8
	v9 = load32 v3
	store64 v6 +16 v9
	copy v6 +25 v3 201
	ret v1
`, Target{})
}

// TestMisaligned accesses stack words at odd offsets, which the kernel would refuse
// unchanged.
func TestMisaligned(t *testing.T) {
	runText(t, outMap+`
prog p kind "raw_tp"
func main(ctx)
b0:
	v0 = param 0
	v1 = load64 v0
	v2 = slot 32
	zero v2 32
	store64 v2 +3 v1
	store32 v2 +13 v1
	store16 v2 +19 v1
	v3 = load64 v2 +1
	v4 = load32 v2 +5
	v5 = load16 v2 +11
	v6 = mapvalue out
	store64 v6 v3
	store64 v6 +8 v4
	store64 v6 +16 v5
	v7 = slot 19
	copy v7 +3 v2 15
	zero v7 3
	zero v7 +18 1
	copy v6 +24 v7 19
	ret v4
`, Target{})
}

// TestFar accesses memory at larger offsets than an instruction can encode.
func TestFar(t *testing.T) {
	needKernel(t)
	text := outMap + "map big array key 4 value 200000 max 1\n" + `
prog p kind "raw_tp"
func main(ctx)
b0:
	v0 = param 0
	v1 = load64 v0
	v2 = mapvalue big +8
	store64 v2 +40000 v1
	v3 = load64 v2 +40000
	v4 = const 7
	atomicadd64 v2 +40000 v4
	XCHG
	store32 v2 +131064 v1
	v6 = load32 v2 +131064
	v7 = const 32767
	v8:map = add v2 v7
	store8 v8 +3 v1
	v9 = load8 v2 +32770
	v10 = mapvalue out
	store64 v10 v3
	store64 v10 +8 v5
	store64 v10 +16 v6
	store64 v10 +24 v9
	ret v4
`
	fetch := "v5 = load64 v2 +40000"
	if haveFetch() {
		fetch = "v5 = xchg64 v2 +40000 v4"
	}
	runText(t, strings.Replace(text, "XCHG", fetch, 1), Target{})
}

func TestEmitErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"prog p kind \"k\"\nfunc main(ctx)\nb0:\nv0 = callfn f\nret v0\nfunc f()\nb0:\nv0 = callfn f\nret v0\n", "deeper than"},
		{"prog p kind \"k\"\nfunc main(ctx)\nb0:\nv0 = slot 40000\nzero v0 40000\nv1 = load8 v0\nret v1\n", "scratch memory"},
		{"map scratch array key 4 value 8 max 1\nprog p kind \"k\"\nfunc main(ctx)\nb0:\nv0 = slot 4000\nzero v0 4000\nv1 = load8 v0\nret v1\n", `named "scratch"`},
		{"prog p kind \"k\"\nfunc main(ctx)\nb0:\nv0 = slot 600\nzero v0 600\nv1 = const 3\nv2 = func cb\nv3 = const 0\nv4 = call loop v1 v2 v0 v3\nret v4\nfunc cb(int slot)\nb0:\nv0 = const 0\nret v0\n", "do not fit the stack"},
	} {
		m, err := irtest.Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Emit(m, Target{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestSpans checks that every raw instruction number has the source of the
// value it came from.
func TestSpans(t *testing.T) {
	m := irtest.MustParse(outMap + "prog p kind \"k\"\nfunc main(ctx)\nb0:\nv0 = const 0x123456789abcdef\nv1 = mapvalue out\nstore64 v1 v0\nret v0\n")
	out, err := Emit(m, Target{})
	if err != nil {
		t.Fatal(err)
	}
	raw := 0
	for _, in := range out.Progs[0].Insns {
		raw += int(in.Width())
	}
	if raw != len(out.Progs[0].Lines) {
		t.Errorf("%d spans for %d raw instructions", len(out.Progs[0].Lines), raw)
	}
}

// TestDeterminism compiles the same programs twice.
func TestDeterminism(t *testing.T) {
	for seed := range int64(60) {
		m := irgen.Program(seed, irgen.Config{Size: 60, BigSlots: true, Calls: true})
		var texts [2]string
		for i := range texts {
			out, err := Emit(m, Target{})
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = disassemble(out)
		}
		if texts[0] != texts[1] {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}
