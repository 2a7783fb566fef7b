package codegen_test

import (
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// nosy is a kernel that counts the lookups that require a search in BTF or in the
// symbol table.
type nosy struct {
	probes.Kernel
	asked []string
}

func (k *nosy) Has(f probes.Feature) bool {
	switch f {
	case probes.FeatAtomicFetch, probes.FeatLookupPerCPU, probes.FeatISAv4, probes.FeatLongKeys, probes.FeatVarStack: // it depends only on the release
	default:
		k.asked = append(k.asked, string(f))
	}
	return k.Kernel.Has(f)
}

func (k *nosy) Kfunc(name string) (uint32, bool) {
	k.asked = append(k.asked, name)
	return k.Kernel.Kfunc(name)
}

func (k *nosy) Symbol(name string) (uint64, bool) {
	k.asked = append(k.asked, name)
	return k.Kernel.Symbol(name)
}

func (k *nosy) Type(name string) (*types.Type, error) {
	k.asked = append(k.asked, name)
	return k.Kernel.Type(name)
}

// TestAsksLittle checks that the compiler looks up only facts about the kernel that the
// script needs, as each lookup costs start-up time.
func TestAsksLittle(t *testing.T) {
	frozen, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{
		`begin { exit(); }`,
		`begin { @ = 1; } end { printf("%d\n", @); }`,
		`interval:s:1 { @ = sum(2); } begin { if ($1 > 1) { print("x"); } }`,
		`profile:hz:99 { @a[cpu] = hist(5); }`,
	} {
		k := &nosy{Kernel: frozen}
		compileFor(t, k, script, nil)
		if len(k.asked) > 0 {
			t.Errorf("%s: asks the kernel about %q", script, k.asked)
		}
	}
}
