package golden

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/tests/cases"
)

// armed is a kernel for another architecture.
type armed struct{ probes.Kernel }

func (armed) Arch() string { return "arm64" }

// typeless is a kernel without BTF types.
type typeless struct{ probes.Kernel }

func (typeless) Type(name string) (*types.Type, error) {
	return nil, fmt.Errorf("%s: %w", name, probes.ErrNoBTF)
}

// altered is a kernel one of whose structs has a member that is missing, elsewhere, or an
// integer, by how.
type altered struct {
	probes.Kernel
	how, object, member string
}

func (k altered) Type(name string) (*types.Type, error) {
	t, err := k.Kernel.Type(name)
	if err != nil || name != k.object {
		return t, err
	}
	changed := *t
	changed.Comp = types.NewComposite(false, func() []types.Field {
		f, ok := t.Field(k.member)
		if !ok {
			panic(k.object + " has no " + k.member)
		}
		switch k.how {
		case "without":
			return slices.DeleteFunc(slices.Clone(t.Members()), func(f types.Field) bool { return f.Name == k.member })
		case "moved":
			f.Off += 8
		case "integer":
			f.Type = types.TUint64
		}
		return append([]types.Field{f}, t.Members()...) // the first of a name counts
	})
	return &changed, nil
}

// returning is a kernel one of whose functions returns a struct.
type returning struct {
	probes.Kernel
	object, function string
}

func (k returning) FuncProto(module, name string) (*probes.FuncProto, error) {
	p, err := k.Kernel.FuncProto(module, name)
	if err != nil || name != k.function {
		return p, err
	}
	changed := *p
	changed.Result, err = k.Type(k.object)
	return &changed, err
}

// kernelOf returns the kernel that a case's header names: a frozen one, or the usual one
// with a change.
func kernelOf(t *testing.T, header string) probes.Kernel {
	t.Helper()
	kernels := frozen(t)
	word, rest, _ := strings.Cut(header, " ")
	object, member, _ := strings.Cut(rest, ".")
	usual := kernels[usualKernel]
	switch word {
	case "arm64":
		return armed{usual}
	case "typeless":
		return typeless{kernels[cmp.Or(rest, usualKernel)]}
	case "without", "moved", "integer":
		return altered{kernels["6.1"], word, object, member}
	case "returning":
		return returning{usual, object, member}
	}
	k := kernels[cmp.Or(header, usualKernel)]
	if k == nil {
		t.Fatalf("there is no kernel %q", header)
	}
	return k
}

// TestMessages compares the diagnostics of the scripts in testdata/messages. The
// header kernel may also be arm64, typeless or "typeless 5.10" (without BTF types), "without struct
// s.m", "moved struct s.m" or "integer struct s.m" (one whose struct has such a member), or
// "returning struct s.f" (one whose function f returns the struct).
func TestMessages(t *testing.T) {
	for _, file := range cases.Glob(t, "testdata/messages/*.txtar", headers...) {
		for _, c := range file.Cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				flags := strings.Fields(c.Header("flags"))
				g := &goldenCase{Case: c, path: file.Path, source: c.Input(t, SourceFile), args: strings.Fields(c.Header("args")),
					unsafe: slices.Contains(flags, "unsafe"), warnings: slices.Contains(flags, "warnings")}
				got := g.compile(t, kernelOf(t, c.Header("kernel")))
				c.Check(t, cases.Section{Name: "diagnostics", Text: got.errors + got.warnings})
			})
		}
	}
}
