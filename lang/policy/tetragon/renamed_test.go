package tetragon

import (
	"errors"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/probes"
)

// namesKernel is a kernel that has some symbols and traceable functions.
type namesKernel struct {
	probes.Kernel
	symbols   map[string]bool
	functions []string
}

func (k *namesKernel) Symbol(name string) (uint64, bool) { return 1, k.symbols[name] }
func (k *namesKernel) Functions() ([]string, error)      { return k.functions, nil }
func (*namesKernel) FuncProto(string, string) (*probes.FuncProto, error) {
	return nil, errors.New("not found")
}

// TestRenamed finds functions that have another name in some releases, or are inlined in
// their callers there.
func TestRenamed(t *testing.T) {
	const old, now = "dev_queue_xmit", "__dev_queue_xmit"
	for _, c := range []struct {
		symbols, functions []string
		want               string // of the old name
		back               string // of the new name
	}{
		{[]string{old, now}, []string{"vmlinux:" + old, "vmlinux:" + now}, old, now},
		{[]string{old, now}, []string{"vmlinux:" + now}, now, now},
		{[]string{old, now}, []string{"vmlinux:" + old}, old, old},
		{[]string{old, now}, nil, old, now},
		{[]string{now}, nil, now, now},
		{[]string{old}, []string{"vmlinux:" + old}, old, old},
		{nil, nil, old, now},
	} {
		k := &namesKernel{symbols: map[string]bool{}, functions: c.functions}
		for _, s := range c.symbols {
			k.symbols[s] = true
		}
		p := &policyReader{terms: &policy.Terms{Kernel: k}}
		for name, want := range map[string]string{old: c.want, now: c.back} {
			if got, _ := p.renamed(name); got != want {
				t.Errorf("%v %v: %s is %s, want %s", c.symbols, c.functions, name, got, want)
			}
		}
	}
}
